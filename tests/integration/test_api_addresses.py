"""R31 to R33 in the API: user ids, one person under two spellings, numbers as people type them."""

from __future__ import annotations

from urllib.parse import quote

from processor.config import Settings
from tests.api import all_running, create_accounts, post, with_secrets
from tests.builders import ACCOUNT

OF_OLD, KEY = "+5215555550101", "+525555550101"
ID = "whatsapp:US.13491208655302741918"
NO_COUNTRY = "has no country: write + and the country's code before it, or name the country"


async def test_a_person_is_found_however_the_address_is_spelled(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with all_running(settings) as api:
        blocked = await post(api, "Block", recipient="+52 1 (55) 5555-0101", reason="asked")
        assert (blocked.status_code, blocked.json()["in_force"]) == (200, True)
        for spelled in (OF_OLD, KEY, f"rcs:{KEY}", "+52 55 5555 0101", "0052 55 5555 0101"):
            [one] = (await post(api, "Check", recipients=[spelled])).json()["results"]
            assert one["allowed"] is False
            path = f"/v1/OptOuts/Blocks/{quote(spelled, safe='')}"
            [block] = (await api.ask("GET", path)).json()["blocks"]
            assert block["recipient"] == KEY
            [past] = (await api.ask("GET", f"{path}/History")).json()["changes"]
            assert past["recipient"] == KEY
        lifted = await post(api, "Unblock", recipient=OF_OLD, reason="asked")
        assert (lifted.status_code, lifted.json()["blocked"]) == (200, False)


async def test_a_user_id_is_blocked_and_found_on_whatsapp(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with all_running(settings) as api:
        blocked = await post(api, "Block", recipient=ID, reason="asked")
        assert (blocked.status_code, blocked.json()["in_force"]) == (200, True)
        [one] = (await post(api, "Check", recipients=[ID])).json()["results"]
        assert (one["allowed"], one["error_code"]) == (False, 21610)
        [block] = (await api.ask("GET", f"/v1/OptOuts/Blocks/{ID}")).json()["blocks"]
        assert (block["recipient"], block["channel_group"]) == (
            ID.removeprefix("whatsapp:"),
            "whatsapp",
        )


async def test_r32_a_user_id_and_a_number_that_are_linked_are_one_person(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    number = "whatsapp:+15557654321"
    async with all_running(settings) as api:
        blocked = await post(api, "Block", recipient=ID, reason="asked by chat")
        assert blocked.json()["in_force"] is True
        made = await post(api, "Link", number=number, user_id=ID)
        assert (made.status_code, made.json()["in_force"]) == (200, True), made.text
        results = (await post(api, "Check", recipients=[ID, number, "+15557654321"])).json()
        assert [one["allowed"] for one in results["results"]] == [False, False, True]
        for one in (ID, number):
            [block] = (await api.ask("GET", f"/v1/OptOuts/Blocks/{one}")).json()["blocks"]
            assert block["recipient"] == "+15557654321"
        listed = (await api.ask("GET", "/v1/OptOuts/Blocks")).json()["blocks"]
        assert [one["recipient"] for one in listed] == ["+15557654321"]
        lifted = await post(api, "Unblock", recipient=ID, reason="asked by chat")
        assert (lifted.json()["in_force"], lifted.json()["blocked"]) == (True, False)
        [one] = (await post(api, "Check", recipients=[number])).json()["results"]
        assert one["allowed"] is True
        history = (await api.ask("GET", f"/v1/OptOuts/Blocks/{ID}/History")).json()["changes"]
        assert [(one["blocked"], one["cause"]["source"]) for one in history] == [
            (False, "api"),
            (True, "link"),
        ]
        other = await post(api, "Link", number="+15557654322", user_id=ID)
        assert other.status_code == 409
        assert other.json()["message"] == "user_id: the user id has a link to another number"
        again = await post(api, "Link", number=number, user_id=ID)
        assert again.json()["in_force"] is True
        for wrong in ({"number": ID, "user_id": ID}, {"number": number, "user_id": number}):
            assert (await post(api, "Link", **wrong)).status_code == 400


async def test_an_address_that_may_be_two_is_refused_and_a_file_may_name_its_country(
    settings: Settings,
) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with all_running(settings) as api:
        for wrong, why in (
            ("(212) 555-0103", NO_COUNTRY),
            ("12125550103", NO_COUNTRY),
            ("US.1349", "String should match pattern"),
        ):
            refused = await post(api, "Block", recipient=wrong, reason="asked")
            assert (refused.status_code, why in refused.text) == (400, True), refused.text
            assert wrong not in refused.text
        rows = b"recipient\n(212) 555-0103\n212-555-0104\n"
        kind = {"content-type": "text/csv"}
        for query, good in (("", 0), ("?Country=US", 2)):
            took = await api.ask("POST", f"/v1/OptOuts/Import{query}", content=rows, headers=kind)
            assert took.json()["accepted"] == good
        assert [one["error"] for one in took.json()["errors"]] == []
