"""Advanced Opt-Out configurations through the API."""

from __future__ import annotations

from typing import Any

from processor.config import Settings
from tests.api import Api, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT, OPERATOR_TOKEN, OTHER_ACCOUNT
from tests.installation import Installation

SPANISH = {"STOP": {"keywords": ["baja"], "reply": "Listo."}}
FRENCH = {"STOP": {"keywords": ["arret"], "reply": "Bien."}}


async def a_configuration(api: Api) -> str:
    """The path of a new service's configuration."""
    made = await api.ask("POST", "/v1/Services", data={"FriendlyName": "Clinic"})
    return f"/v3/OptOuts/OO{made.json()['sid'][2:]}"


async def put(api: Api, path: str, given: Any, version: int | None = None) -> Any:
    headers = {"If-Match": f'"{version}"'} if version else {}
    return await api.ask("PUT", path, json=given, headers=headers)


async def test_a_draft_is_written_held_against_what_answers_and_enabled(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        path = await a_configuration(api)
        saved = await put(api, path, {"languages": {"Spanish": SPANISH}}, 1)
        assert (saved.status_code, saved.headers["ETag"]) == (200, '"2"')
        assert (saved.json()["enabled"], saved.json()["active"]) == (False, None)
        differs = (await api.ask("GET", f"{path}/Diff")).json()
        assert any(one.startswith("languages.es.STOP") for one in differs["differences"])
        tried = (await api.ask("POST", f"{path}/Try", json={"body": "Baja!"})).json()
        assert tried["draft"] == {
            "kind": "STOP",
            "layer": "languages.es",
            "keyword": "baja",
            "match": "tolerant",
            "reply": "Listo.",
            "reply_sent": "aoo",
            "blocked": True,
            "aoo_enabled": True,
            "suspected": None,
        }
        assert (tried["active"]["kind"], tried["active"]["aoo_enabled"]) == (None, False)
        on = (await api.ask("POST", f"{path}/Enable")).json()
        assert (on["enabled"], on["version"], on["active"]) == (True, 3, on["draft"])
        assert (await api.ask("GET", f"{path}/Diff")).json()["differences"] == []
        # Each save takes effect at once from here on (R5).
        saved = await put(api, path, {"languages": {"es": SPANISH, "fr": FRENCH}})
        assert set(saved.json()["active"]["languages"]) == {"es", "fr"}
        assert (await api.ask("POST", f"{path}/Disable")).status_code == 403
        off = await api.as_("operator", OPERATOR_TOKEN).ask("POST", f"{path}/Disable")
        assert (off.json()["enabled"], off.json()["active"]) == (False, None)
    at = Installation(settings)
    changes = await at.values(at.topics.configuration_changes)
    assert [(one["actor"], one["what"]) for one in changes[2:]] == [
        (ACCOUNT, "updated"),
        (ACCOUNT, "enabled"),
        (ACCOUNT, "updated"),
        ("operator", "disabled"),
    ]


async def test_layers_and_pairs_are_changed_one_by_one(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        path = await a_configuration(api)
        mexico = f"{path}/MessageTypes/MX/Languages/es"
        assert (await api.ask("GET", mexico)).status_code == 404
        assert (await put(api, mexico, SPANISH)).json() == SPANISH
        pair = f"{path}/MessageTypes/MX/KeywordTypes/STOP.SPANISH"
        assert (await put(api, pair, {"message": "Vale."})).json() == {
            "keyword_type": "STOP.SPANISH",
            "message_type": "MX",
            "keywords": ["baja"],
            "message": "Vale.",
        }
        standard = f"{path}/MessageTypes/ALL/KeywordTypes/HELP.ALL"
        assert (await put(api, standard, {"message": "Call us."})).status_code == 200
        told = (await api.ask("GET", f"{path}/Messages?message_type=MX")).json()["config"]
        assert [one["message"] for one in told] == ["Vale."]
        told = (await api.ask("GET", f"{path}/Keywords?message_type=ALL")).json()["config"]
        assert {one["keyword_type"] for one in told} == {"STOP.ALL", "START.ALL", "HELP.ALL"}
        types = (await api.ask("GET", f"{path}/MessageTypes")).json()
        assert types["message_types"] == ["ALL", "MX"]
        assert (await api.ask("DELETE", f"{path}/MessageTypes/MX")).status_code == 204
        assert (await api.ask("DELETE", f"{path}/MessageTypes/MX")).status_code == 404
        whole = (await api.ask("GET", path)).json()
        assert whole["draft"]["countries"] == {}
        assert whole["draft"]["standard"]["HELP"]["reply"] == "Call us."


async def test_who_read_an_older_version_overwrites_nothing(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        path = await a_configuration(api)
        assert (await put(api, path, {"languages": {"es": SPANISH}}, 1)).status_code == 200
        late = await put(api, path, {}, 1)
        assert (late.status_code, late.json()["code"]) == (412, 20412)
        assert late.headers["ETag"] == '"2"'
        assert (await api.ask("GET", path)).json()["draft"]["languages"] == {"es": SPANISH}


async def test_a_wrong_draft_is_refused_whole_with_every_problem(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        path = await a_configuration(api)
        wrong = {
            "languages": {"Klingon": SPANISH, "es": {"STOP": {"keywords": ["baja"], "reply": ""}}}
        }
        refused = await put(api, path, wrong)
        assert refused.status_code == 400
        problems = refused.json()["details"]["problems"]
        assert [(".".join(problem["place"]), problem["code"]) for problem in problems] == [
            ("languages.Klingon", "unknown_language"),
            ("languages.es.STOP.reply", "string_too_short"),
            ("languages.es.STOP.keywords", "keyword_clash"),  # one problem for both
        ]
        checked = await api.ask("POST", f"{path}/Validate", json=wrong)
        assert checked.json() == {"errors": problems, "warnings": []}
        assert (await api.ask("GET", path)).headers["ETag"] == '"1"'


async def test_no_account_sees_anothers_configuration(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with serving(settings) as api:
        path = await a_configuration(api)
        other = api.as_(OTHER_ACCOUNT)
        routes = [
            *(("GET", place) for place in ("", "/Diff", "/Keywords", "/Messages", "/MessageTypes")),
            ("GET", "/MessageTypes/ALL/Languages/ALL"),
            *(("PUT", place) for place in ("", "/MessageTypes/ALL/Languages/es")),
            ("PUT", "/MessageTypes/ALL/KeywordTypes/STOP.ALL"),
            *(
                ("DELETE", place)
                for place in ("/MessageTypes/MX", "/MessageTypes/ALL/Languages/es")
            ),
            *(("POST", f"/{place}") for place in ("Validate", "Enable")),
        ]
        for method, place in routes:
            given: dict[str, Any] = {} if method == "GET" else {"json": {}}
            assert (await other.ask(method, path + place, **given)).status_code == 404, place
        assert (await other.ask("POST", f"{path}/Try", json={"body": "a"})).status_code == 404
        assert (await other.ask("GET", "/v3/OptOuts")).json()["opt_outs"] == []
        assert len((await api.ask("GET", "/v3/OptOuts")).json()["opt_outs"]) == 1


async def test_what_every_configuration_may_use_is_told(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        defaults = (await api.ask("GET", "/v3/OptOuts/DefaultKeywordsMessages")).json()
        assert {"keyword": "YES", "reserved": False} in defaults["START"]["keywords"]
        known = (await api.ask("GET", "/v3/OptOuts/Configurations/Languages")).json()["languages"]
        assert len(known) == 54
        assert "SOUTHERN_NDEBELE" in {one["language"] for one in known}
        types = (await api.ask("GET", "/v3/OptOuts/Configurations/MessageTypes")).json()
        assert types["message_types"][0] == "ALL"
        pack = (await api.ask("GET", "/v3/OptOuts/StarterPacks/Spanish")).json()
        assert (pack["language"], "STOP" in pack["sets"]) == ("es", True)


async def test_r17_a_services_brand_fills_its_replies(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:
        path = await a_configuration(api)
        service = f"/v1/Services/MG{path[-32:]}"
        reply = "{brand}: you are out. Questions: {help_contact}. Reply START to come back."
        draft = {"standard": {"STOP": {"keywords": ["stop"], "reply": reply}}}
        refused = await put(api, path, draft)
        assert refused.status_code == 400
        assert [one["code"] for one in refused.json()["details"]["problems"]] == [
            "placeholder_not_set",
            "placeholder_not_set",
        ]
        fields = {"Brand": "Acme", "HelpContact": "acme.example/help"}
        named = (await api.ask("POST", service, data=fields)).json()
        assert (named["brand"], named["help_contact"]) == ("Acme", "acme.example/help")
        saved = await put(api, path, draft)
        assert saved.json()["draft"]["standard"]["STOP"]["reply"] == reply
        tried = (await api.ask("POST", f"{path}/Try", json={"body": "stop"})).json()
        assert tried["draft"]["reply"] == (
            "Acme: you are out. Questions: acme.example/help. Reply START to come back."
        )
        for wrong in ({"Brand": ""}, {"HelpContact": "x" * 129}, {"Brand": "x" * 300}):
            assert (await api.ask("POST", service, data=wrong)).status_code == 400, wrong
        gone = (await api.ask("POST", service, data={"Brand": ""})).json()
        [problem] = gone["details"]["problems"]
        assert problem["place"] == ["opt_out", "standard", "STOP", "reply"]
