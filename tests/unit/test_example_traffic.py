"""The traffic that `optout up` plays: all of it is what the topics' schemas allow, but one text."""

from __future__ import annotations

import orjson
import pytest
from pydantic import ValidationError

from processor.cli.example_traffic import _GROUPS, Event, events_of
from processor.core.messages import SenderType, bare_number, sender_type_of
from schemas import MODELS

BEGAN_MS = 1_760_000_000_000
SECONDS = 60.0


def a_minute(seed: int = 7) -> list[Event]:
    return events_of(seed, BEGAN_MS, seconds=SECONDS)


def of_topic(name: str, seed: int = 7) -> list[dict[str, str]]:
    return [orjson.loads(one.value) for one in a_minute(seed) if one.topic == name]


def test_all_but_one_text_is_as_the_schemas_say() -> None:
    wrong = []
    for one in a_minute():
        try:
            MODELS[one.topic].model_validate_json(one.value)
        except ValidationError:
            wrong.append(one.topic)
    assert wrong == ["inbound-messages.v1"]


def test_events_come_in_order_within_the_time_and_have_the_recipients_key() -> None:
    events = a_minute()
    times = [one.at_s for one in events]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= SECONDS
    for one in events:
        value = orjson.loads(one.value)
        recipient = value.get("recipient") or value["from" if "received_at" in value else "to"]
        assert one.key.decode() == bare_number(recipient)


@pytest.mark.parametrize("seed", range(5))
def test_people_opt_out_in_four_languages_at_every_type_of_sender(seed: int) -> None:
    texts = of_topic("inbound-messages.v1", seed)
    bodies = {text.get("body") for text in texts}
    for words in ({"STOP", "stop"}, {"Baja", "ALTO", "baja"}, {"Arrêt", "arret"}, {"退订"}):
        assert bodies & words
    assert {sender_type_of(text["to"]) for text in texts if "to" in text} == {
        SenderType.LONG_CODE,
        SenderType.TOLL_FREE,
        SenderType.SHORT_CODE,
        SenderType.WHATSAPP,
    }


@pytest.mark.parametrize("seed", range(5))
def test_some_who_opted_out_are_sent_to_later_and_some_come_back(seed: int) -> None:
    stops = {word for group in _GROUPS for word in group.stop}
    out: dict[bytes, float] = {}
    later = 0
    for one in a_minute(seed):
        if one.topic == "inbound-messages.v1" and orjson.loads(one.value)["body"] in stops:
            out[one.key] = one.at_s
        elif one.topic == "outbound-messages.v1":
            later += one.at_s > out.get(one.key, SECONDS)
    assert len(out) >= len(_GROUPS)
    assert later >= len(_GROUPS)
    assert {text["body"] for text in of_topic("inbound-messages.v1", seed)} & {"START", "Unstop"}
    assert [one["reason"] for one in of_topic("consent-commands.v1", seed)] == ["asked by phone"]


@pytest.mark.parametrize("seed", [1, 2])
def test_equal_seeds_make_equal_traffic_and_others_other_messages(seed: int) -> None:
    assert a_minute(seed) == a_minute(seed)
    sids = {one.value for one in a_minute(seed)}
    assert sids.isdisjoint({one.value for one in a_minute(seed + 10)})
