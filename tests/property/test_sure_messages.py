"""Messages that are settled without the model come to what the model's reading of them does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.partitions import partition_of
from processor.core.services import Directory, Webhook
from processor.core.suspected import OwnWords, TierPolicy
from processor.kafka.fetched import FetchedRecord
from processor.stages import sure_messages
from processor.stages.classify import Classified, Classifier
from processor.stages.hearing import Ear
from processor.suspicion.assess import assess
from processor.suspicion.glance import Glance
from processor.suspicion.values import StopWords, Suspicion
from processor.wire import inbound_messages, screening
from processor.wire.headers import FIRST_APPEND, WAY
from processor.wire.topics import Topics
from schemas.inbound_message import InboundMessage
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OTHER_ACCOUNT,
    OTHER_LONG_CODE,
    OTHER_SERVICE,
    RCS_SENDER,
    RECIPIENT,
    SERVICE,
    SHORT_CODE,
    TOLL_FREE,
    WHATSAPP_SENDER,
    a_config,
    a_service,
    inbound_record,
)
from tests.strange_records import values
from tests.strategies import bodies

pytest.importorskip("processor.wire._screen", reason="no C compiler built the native readers")

TOPICS = Topics.under("")
PARTITIONS = 12
DEFECT = "please stop our own defect"

said = st.sampled_from(
    [
        *("Stop please", "STOP texting me", "please take me off your list", "unsubscribe me!!"),
        *("i have had enough of you people", "No more messages, thank you", "por favor baja"),
        *("Can I stop by at nine?", "STOP 12345", "don't quit now", "see you at ten"),
        *('a "stop"\tplease\\', "stop\nplease", "stop\x1eplease", "stop please é", "arrêt svp"),
        *("Stop — please stop", "stop 🙏 please please stop", "STOP?"),
        *("please stop " + "x" * 400, "退订谢谢", "别再给我发短信了", "STOP", "Baja", DEFECT),
    ]
)
usual = st.fixed_dictionaries(
    {"body": said | said | bodies},
    optional={
        "account_sid": st.sampled_from([ACCOUNT, OTHER_ACCOUNT]),
        "messaging_service_sid": st.sampled_from([SERVICE, OTHER_SERVICE, "MG9", None]),
        "from": st.sampled_from(
            [
                *(RECIPIENT, f"whatsapp:{RECIPIENT}", f"rcs:{RECIPIENT}", "+4915112345678"),
                *("15557654321", "00491511234567", "+5215512345678", "whatsapp:US.15557654321"),
                *("12345", "Clinic", "+1 (555) 765-4321", "+12045550100"),
            ]
        ),
        "to": st.sampled_from(
            [
                *(LONG_CODE, OTHER_LONG_CODE, TOLL_FREE, SHORT_CODE, WHATSAPP_SENDER, RCS_SENDER),
                *("Clinic", "15551234567"),
            ]
        ),
        "from_country": st.sampled_from(["US", "DE", None, "us"]),
        "received_at": st.sampled_from(["2026-11-02T12:00:00+01:00", "2026-11-02T12:00:00.1234Z"]),
        "user_id": st.sampled_from(["US.15557654321", None]),
        "carrier_replied": st.booleans(),
        "num_media": st.sampled_from([1, 101]),
    },
)
twice = st.sampled_from([b"", b"", b"", b'"body":"hello",', b'"account_sid":"AC9",', b'"more":1,'])
headers = st.sampled_from(
    [
        *[()] * 4,
        (("traceparent", b"00-1-2-01"),),
        ((FIRST_APPEND, b"1793620800000"),),
        ((WAY, b"nonsense"),),
    ]
)
policies = st.sampled_from([None, *TierPolicy])


@st.composite
def records(draw: st.DrawFn, offset: int) -> FetchedRecord:
    """A record that is valid, odd or broken."""
    fields = inbound_record() | draw(usual)
    if draw(st.integers(0, 3)):
        written = json.dumps(fields, ensure_ascii=draw(st.booleans()))
        value = written.encode("utf-8", "replace")
        value = b"{" + draw(twice) + value[1:]
    else:
        value = draw(values(fields))
    return a_record(offset, value, draw(headers))


def a_record(offset: int, value: bytes, own: Any = ()) -> FetchedRecord:
    key = RECIPIENT.encode()
    place = TOPICS.inbound_messages, partition_of(key, PARTITIONS), offset
    return FetchedRecord(*place, 1_793_620_800_000 + offset, 1, key, value, own)


@st.composite
def directories(draw: st.DrawFn) -> Directory:
    """No service, or some: with any policies, without AOO, with a webhook."""
    words = OwnWords(phrases=draw(policies), suspected=draw(policies))
    active = draw(st.sampled_from([a_config(own_words=words), a_config(own_words=words), None]))
    hook = Webhook("https://example.com/inbound")
    some = [
        a_service(LONG_CODE, SHORT_CODE, active=active),
        a_service(
            *(OTHER_LONG_CODE, WHATSAPP_SENDER),
            sid=OTHER_SERVICE,
            account_sid=draw(st.sampled_from([ACCOUNT, OTHER_ACCOUNT])),
            webhook=draw(st.sampled_from([None, hook])),
        ),
    ]
    return Directory(some[: draw(st.integers(0, 2))])


def reading(text: str, words: StopWords) -> Suspicion | None:
    """Assess a text; one makes our code raise."""
    if text == DEFECT:
        raise KeyError("a defect that nobody has found yet")
    return assess(text, words)


def classified(given_: Sequence[FetchedRecord], directory: Directory) -> Classified:
    return Classifier(TOPICS, PARTITIONS, Ear(Glance, reading)).classify(given_, directory)


def saying(body: str, **fields: Any) -> list[FetchedRecord]:
    written = json.dumps(inbound_record(body=body, **fields), ensure_ascii=False)
    return [a_record(0, written.encode())]


LIKE_A_KEYWORD = "Stop — please stop"


@given(st.integers(1, 6).flatmap(lambda size: st.tuples(*map(records, range(size)))), directories())
@example(saying("Stop please"), Directory([a_service()]))
@example(saying(LIKE_A_KEYWORD), Directory())
@example(saying(LIKE_A_KEYWORD, to=SHORT_CODE), Directory([a_service(SHORT_CODE)]))
@example(saying(LIKE_A_KEYWORD, from_country=None), Directory())
def test_r30_a_message_without_a_model_comes_to_what_it_does_with_one(
    given_: Sequence[FetchedRecord], directory: Directory
) -> None:
    cheap = classified(given_, directory)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sure_messages, "sure_text", lambda record: None)
        patched.setattr(sure_messages, "sure_message", lambda record: None)
        assert classified(given_, directory) == cheap
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(screening, "native", None)
        assert classified(given_, directory) == cheap


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"body": "Can I stop by at nine?"}, OwnWords()),  # like a keyword, and named
        ({"body": "i want to see you no more than twice"}, OwnWords()),
        ({"body": "Stop please", "to": SHORT_CODE, "messaging_service_sid": None}, OwnWords()),
        ({"body": "Stop please"}, OwnWords(TierPolicy.OFF, TierPolicy.OFF)),
        ({"body": "Stop please"}, OwnWords()),  # heard
        ({"body": "STOP"}, OwnWords()),
    ],
)
def test_r30_no_model_reads_a_message_that_is_sure(
    fields: Mapping[str, Any], words: OwnWords, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Directory([a_service(active=a_config(own_words=words))])
    given_ = saying(**fields)
    before = classified(given_, directory)
    read: list[bytes] = []

    def reading_all(values: Sequence[bytes]) -> list[InboundMessage]:
        read.extend(values)
        return inbound_messages.STRICT.read_all(values)

    monkeypatch.setattr(inbound_messages, "read_all", reading_all)
    assert classified(given_, directory) == before
    assert read == []


def test_r30_a_text_is_not_assessed_where_every_text_is_ordinary() -> None:
    assessed: list[str] = []
    ear = Ear(Glance, lambda body, words: assessed.append(body))
    off = a_config(own_words=OwnWords(TierPolicy.OFF, TierPolicy.OFF))
    given_ = saying("Stop please")
    classifier = Classifier(TOPICS, PARTITIONS, ear)
    assert classifier.classify(given_, Directory([a_service(active=off)])).pairs == []
    assert assessed == []
    classifier.classify(given_, Directory([a_service()]))
    assert assessed == ["Stop please"]
