"""Operating an installation by the commands."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import yaml
from aiokafka import AIOKafkaProducer

from processor.config import Settings
from tests.builders import ACCOUNT, RECIPIENT, TOLL_FREE
from tests.installation import Installation, running, topics_apart, until
from tests.integration.conftest import Command
from tests.integration.test_flow import a_send, a_text, configure

EXAMPLE = "schemas/examples/services.yaml"
SID = "MG00000000000000000000000000000001"


async def test_topics_are_created_once_and_checked(settings: Settings, optout: Command) -> None:
    checked = await optout("topics", "check")
    assert checked.stdout == "all topics are correct\n"
    assert checked.stderr.startswith("note: ")  # one broker, one replica
    created = orjson.loads((await optout("topics", "create", "--json")).stdout)
    assert [one["consequence"] for one in created.pop("problems")] == ["note"]
    assert created == {"created": [], "mended": {}, "lost": [], "refused": []}


async def test_a_missing_topic_is_named_with_its_remedy(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setenv("OPTOUT_TOPIC_PREFIX", settings.topic_prefix + "other.")
    checked = await optout("topics", "check", code=1)
    assert "inbound-messages.v1: missing; create it with `optout topics create`" in checked.stderr
    for command in (
        ("services", "list"),
        ("services", "apply", EXAMPLE),
        ("blocks", "history", RECIPIENT),
    ):
        refused = await optout(*command, code=1)
        assert "; see OPTOUT_TOPIC_PREFIX, and `optout topics create`" in refused.stderr


async def test_services_are_applied_shown_and_applied_again(
    settings: Settings, optout: Command, tmp_path: Path
) -> None:
    first = orjson.loads((await optout("services", "apply", "--json", EXAMPLE)).stdout)
    assert (first["sid"], first["version"], first["changed"]) == (SID, 1, True)
    shown = (await optout("services", "show", SID)).stdout
    again = tmp_path / "again.yaml"
    again.write_text(shown)
    same = orjson.loads((await optout("services", "apply", "--json", str(again))).stdout)
    assert (same["version"], same["changed"]) == (1, False)
    [document] = yaml.safe_load(shown)
    document["opt_out"]["enabled"] = False
    again.write_text(yaml.safe_dump([document]))
    refused = await optout("services", "apply", str(again), code=2)
    assert "only an operator may disable it" in refused.stderr
    listed = orjson.loads((await optout("services", "list", "--json")).stdout)
    assert (listed["version"], listed["active"]["enabled"]) == (1, True)


async def test_r5_a_draft_has_no_effect_until_it_is_enabled(
    settings: Settings, optout: Command, tmp_path: Path
) -> None:
    at = Installation(settings)
    file = tmp_path / "draft.yaml"
    service = {
        "account_sid": ACCOUNT,
        "friendly_name": "Clinic",
        "senders": [{"address": "+15551234567"}],
        "opt_out": {"standard": {"STOP": {"keywords": ["halt"], "reply": "Out."}}},
    }
    file.write_text(yaml.safe_dump(service))
    async with running(settings) as runtime:
        took = await optout("services", "apply", "--json", str(file))
        applied = orjson.loads(took.stdout)
        sid = applied["sid"]
        warned = "opt_out.standard.STOP.reply: does not say how to come back"
        assert f"{file}: warning: service 1 (Clinic): {warned}" in took.stderr
        assert (sid.startswith("MG"), len(sid), applied["enabled"]) == (True, 34, False)

        async def version(wanted: int) -> bool:
            service = runtime.services.directory.services.get(sid)
            return service is not None and service.version == wanted

        await until(lambda: version(1), "draft")
        await at.texts(a_text("M1", "halt"), a_text("M2", "help"))
        await at.wait_for(at.topics.opt_out_notifications, 1)
        assert f"warning: {warned}" in (await optout("services", "enable", sid)).stderr
        await until(lambda: version(2), "enabled service")
        await at.texts(a_text("M3", "halt"))
        notifications = await at.wait_for(at.topics.opt_out_notifications, 2)
    assert [
        (one["message_sid"], one["aoo_enabled"], one["config_version"]) for one in notifications
    ] == [
        ("M2", False, 1),
        ("M3", True, 2),
    ]
    # A file without a sid is the same service again.
    file.write_text(yaml.safe_dump(service | {"opt_out": {"enabled": True}}))
    applied = orjson.loads((await optout("services", "apply", "--json", str(file))).stdout)
    assert (applied["sid"], applied["version"]) == (sid, 3)


async def test_a_file_with_a_problem_changes_nothing(
    settings: Settings, optout: Command, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.yaml"
    good = {"account_sid": ACCOUNT, "friendly_name": "Good"}
    wrong = {"account_sid": ACCOUNT, "friendly_name": "Wrong", "opt_out": {"match": "fuzzy"}}
    file.write_text(yaml.safe_dump([good, wrong]))
    refused = await optout("services", "apply", str(file), code=2)
    assert refused.stderr == (
        f"{file}: service 2 (Wrong): opt_out.match: Input should be 'exact' or 'tolerant'\n"
    )
    assert (await optout("services", "list")).stdout == ""


async def test_blocks_are_given_looked_at_rebuilt_and_verified(
    settings: Settings, optout: Command
) -> None:
    at = Installation(settings)
    async with running(settings):
        assert (await optout("blocks", "get", RECIPIENT, code=1)).stdout == (
            f"{RECIPIENT} is not blocked\n"
        )
        blocked = await optout(
            *("blocks", "block", RECIPIENT, "--account-sid", ACCOUNT, "--reason", "by phone")
        )
        assert blocked.stdout == f"{RECIPIENT} is blocked (account)\n"
        found = orjson.loads((await optout("blocks", "get", RECIPIENT, "--json")).stdout)
        assert (found["account_sid"], found["scope"]) == (ACCOUNT, "account")
        listed = orjson.loads((await optout("blocks", "list", "--json")).stdout)
        assert listed == found
        assert "4 partitions rebuilt" in (await optout("blocks", "rebuild")).stdout
        verified = orjson.loads((await optout("blocks", "verify", "--json")).stdout)
        assert verified == {"entries": 1, "differing": []}
        await at.sends(a_send("S1"))
        await at.wait_for(at.topics.message_statuses, 1)
        await optout("blocks", "unblock", RECIPIENT, "--account-sid", ACCOUNT)
        assert (await optout("blocks", "list")).stdout == ""
    assert [one["blocked"] for one in await at.values(at.topics.block_changes)] == [True, False]


async def test_unblocking_says_what_still_keeps_the_recipient_away(
    settings: Settings, optout: Command
) -> None:
    at = Installation(settings)
    given = (RECIPIENT, "--account-sid", ACCOUNT, "--reason", "asked in the shop")
    async with running(settings):
        await at.texts(a_text("M1", "stop", to=TOLL_FREE))
        await at.wait_for(at.topics.block_changes, 2)
        await topics_apart()
        refused = await optout("blocks", "unblock", *given[:3], code=2)
        assert refused.stderr == "the recipient made this block: to lift it, give a reason\n"
        said = (await optout("blocks", "unblock", *given)).stdout.splitlines()
    assert said[0] == f"{RECIPIENT} is not blocked (account), but still blocked by:"
    assert f"sender {TOLL_FREE} (by the toll-free network)" in said[1]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (("--account-sid", "A B"), "account_sid: is not an id"),
        (("--account-sid", ACCOUNT, "--source", ""), "source: String should have at least 1"),
        (("--account-sid", ACCOUNT, "--reason", "x" * 501), "reason: String should have at most"),
        (
            ("--account-sid", ACCOUNT, "--scope", "sender", "--sender", "@"),
            "sender: is not a sender",
        ),
    ],
)
async def test_a_command_that_no_lane_would_take_is_refused_at_once(
    settings: Settings, optout: Command, wrong: tuple[str, ...], why: str
) -> None:
    assert why in (await optout("blocks", "block", RECIPIENT, *wrong, code=2)).stderr
    assert await Installation(settings).records(f"{settings.topic_prefix}consent-commands.v1") == []


@pytest.mark.parametrize("recipient", ["+0123456789", "foo:+15550001111", "+١٥٥٥٠٠٠١١١١"])
async def test_what_is_no_recipient_is_refused(
    settings: Settings, optout: Command, recipient: str
) -> None:
    refused = await optout("blocks", "block", recipient, "--account-sid", ACCOUNT, code=2)
    assert "an E.164 number such as +15551234567" in refused.stderr


async def test_a_partition_that_is_not_there_cannot_be_rebuilt(optout: Command) -> None:
    refused = await optout("blocks", "rebuild", "--partition", "99", code=2)
    assert "must be 0 to 3" in refused.stderr


async def test_a_record_that_is_no_service_of_ours_stops_nobody(
    settings: Settings, optout: Command
) -> None:
    at = Installation(settings)
    good = {"account_sid": ACCOUNT, "friendly_name": "Good", "sid": "MGgood"}
    await configure(settings, good)
    producer = AIOKafkaProducer(**settings.kafka())
    async with producer:
        # One without a key the broker itself refuses: the topic is compacted.
        for key, value in ((b"\xff\xfe", b"{}"), (b"MGgood", b"[]")):
            await producer.send_and_wait(at.topics.messaging_services, value, key=key)
    assert "Good" in (await optout("services", "list")).stdout
    async with running(settings) as runtime:
        await runtime.services.wait_loaded()
        assert runtime.services.directory.services["MGgood"].version == 1
        await at.texts(a_text("M1", "help"))
        await at.wait_for(at.topics.reply_sends, 1)


async def test_a_draft_is_tested_on_the_inbound_topic(
    settings: Settings, optout: Command, tmp_path: Path
) -> None:
    file = tmp_path / "draft.yaml"
    opt_out = {"standard": {"STOP": {"keywords": ["stop"], "reply": "Out. START returns."}}}
    service = {"account_sid": ACCOUNT, "friendly_name": "Clinic", "opt_out": opt_out}
    file.write_text(yaml.safe_dump(service | {"senders": [{"address": "+15551234567"}]}))
    await Installation(settings).texts(
        a_text("M1", "quit"), a_text("M2", "stop"), a_text("M3", "see you")
    )
    backtest = ("backtest", "--json", "--services", str(file), "--topic")
    found = orjson.loads((await optout(*backtest, "--since", "2026-01-01", code=1)).stdout)
    assert (found["messages"], found["matched"], found["stops_lost"]) == (3, {"STOP": 1}, 1)
    later = await optout(*backtest, "--since", "2999-01-01", code=2)
    assert later.stderr == "no inbound message found: nothing was tested\n"


async def test_the_simulated_carrier_hears_back_for_everything_it_sent(
    settings: Settings, optout: Command
) -> None:
    options = ("--rate", "400", "--seconds", "2", "--keywords", "0.3", "--recipients", "50")
    async with running(settings) as runtime:

        async def ready() -> bool:
            return runtime.unready() == []

        await until(ready, "worker that is ready")
        result = orjson.loads((await optout("simulate", *options, "--seed", "7", "--json")).stdout)
    assert result["inbound"] == result["sends"] == 800
    assert result["sends_allowed"] + result["sends_failed"] == 800
    assert min(result["sends_failed"], result["replies"], result["block_changes"]) > 0
    assert "dead_letters" not in result


async def test_without_a_broker_a_command_says_so_in_one_line(
    settings: Settings, optout: Command, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setenv("OPTOUT_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    failed = await optout("services", "list", code=1)
    assert failed.stderr == "Kafka at 127.0.0.1:1: KafkaConnectionError\n"
