"""Bodies, configurations and histories for the property tests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from processor.configuration.rules import problems_of
from processor.core.blocks import (
    ALL_INTENTS,
    Block,
    Blocks,
    Intents,
    Mark,
    Source,
    SourceKind,
)
from processor.core.brakes import MOST_REPLIES
from processor.core.fold import Hit, Item
from processor.core.merging import sources_of
from processor.core.messages import (
    Arrival,
    OptOutType,
    Scope,
    SenderType,
    channel_group_of,
)
from processor.core.policy import (
    CountryOverride,
    KeywordSet,
    KeywordSets,
    LateReply,
    MatchMode,
    OptOutConfig,
)
from processor.core.services import Directory
from processor.core.suspected import Overdue, OwnWords, TierPolicy
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    NOW_MS,
    OTHER_ACCOUNT,
    OTHER_LONG_CODE,
    OTHER_RECIPIENT,
    OTHER_SERVICE,
    OTHER_TOLL_FREE,
    RCS_SENDER,
    RECIPIENT,
    SERVICE,
    SHORT_CODE,
    TOLL_FREE,
    WHATSAPP_SENDER,
    a_command,
    a_service,
    an_inbound,
)

# Bodies

USUAL = ("stop", "start", "unstop", "help", "yes", "end", "cancel", "optout", "stopall", "info")
# No two of these have the same meaning, in either form; none is a usual word.
FOREIGN = (
    *("arrêt", "baja", "salir", "sair", "stopp", "aide", "ayuda", "ja", "sí", "oui", "Straße"),
    *("отписка", "стоп", "ΔΙΑΚΟΠΗ", "στοπ", "iptal", "kaldır", "बंद", "हटाओ", "停止", "取消"),
    *("ストップ", "해지", "إيقاف", "עצור", "หยุด", "ﬁn", "take me off", "bỏ", "x-out", "수신거부"),
)
words: st.SearchStrategy[str] = st.sampled_from((*USUAL, *FOREIGN))
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u202e\ufe0f\U000e0020"
SPACE = " \t\n\r\u00a0\u2003\u3000\x1c\x85"
MARKS = ".!,…！‼"
EMOJI = "🛑👍❤✋🏽🇺🇸©"
QUOTES = "\"'`“”‘’«»‹›「」„"
outside = st.text(st.sampled_from(SPACE + MARKS + EMOJI + INVISIBLE), max_size=4)
noise = st.text(st.sampled_from(SPACE + MARKS + EMOJI + INVISIBLE + QUOTES + "?;:()-"), max_size=4)


@st.composite
def written(draw: st.DrawFn) -> str:
    """A keyword as people write it: any case or width, repeated, spelled, with lookalikes."""
    word = draw(words)
    change = draw(st.sampled_from("lutwiasdrpc"))
    match change:
        case "l":
            return word
        case "u":
            return word.upper()
        case "t":
            return word.title()
        case "w":
            return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in word)
        case "i":
            return draw(st.sampled_from(INVISIBLE)).join(word)
        case "a":
            return "\u0301".join(word)
        case "r":
            return draw(st.sampled_from([" ", "\n", ", ", "! "])).join(
                [word] * draw(st.integers(2, 4))
            )
        case "p":
            return draw(st.sampled_from([" ", ".", "-", " – "])).join(word)
        case "c":
            return "\0".join(f"\0{word}")
        case "s":
            return word.translate(str.maketrans("stophel", "ѕтορһеӏ"))
        case _:
            return word[: len(word) // 2] + draw(st.sampled_from(" -_–")) + word[len(word) // 2 :]


quoted = st.builds(
    lambda quote, mark, word: f"{quote}{word}{mark}{quote}",
    st.sampled_from(QUOTES),
    outside,
    written(),
)
anything = st.text(max_size=40)
bodies = st.one_of(
    words,
    written(),
    quoted,
    st.builds(lambda before, word, after: before + word + after, noise, written(), noise),
    st.builds(lambda before, word, after: before + word + after, noise, quoted, noise),
    st.lists(written(), min_size=2, max_size=3).map(" ".join),
    st.text(st.sampled_from(SPACE + MARKS + EMOJI + INVISIBLE + QUOTES + "stoSTOP"), max_size=8),
    anything,
)

# Configurations

COUNTRIES = ("US", "CA", "JM", "MX")
countries = st.sampled_from([*COUNTRIES, None])
languages = st.sampled_from(["es", "fr", "pt-BR"])


@st.composite
def keyword_sets(draw: st.DrawFn, vocabulary: Sequence[str]) -> KeywordSets:
    """Any kinds, each with some of the words."""
    kinds = draw(st.sets(st.sampled_from(list(OptOutType)), min_size=1))
    return {
        kind: KeywordSet(
            tuple(draw(st.lists(st.sampled_from(vocabulary), min_size=1, max_size=4))),
            f"{kind} {draw(st.integers(0, 99))}",
        )
        for kind in sorted(kinds)
    }


overrides = st.builds(
    CountryOverride,
    languages=st.dictionaries(languages, keyword_sets(FOREIGN), min_size=1, max_size=2),
    country_fallback=st.booleans(),
)
any_configurations = st.builds(
    OptOutConfig,
    match=st.sampled_from(MatchMode),
    repeat_reply=st.booleans(),
    yes_only_when_blocked=st.booleans(),
    help_when_blocked=st.frozensets(st.sampled_from(SenderType), max_size=2),
    stop_when_blocked=st.frozensets(st.sampled_from(SenderType), max_size=2),
    reply_limit=st.integers(1, MOST_REPLIES),
    late_reply=st.sampled_from(LateReply),
    own_words=st.builds(
        OwnWords,
        st.none() | st.sampled_from(TierPolicy),
        st.none() | st.sampled_from(TierPolicy),
        st.none() | st.sampled_from(Overdue),
    ),
    standard=st.one_of(st.just({}), keyword_sets((*USUAL, *FOREIGN))),
    languages=st.dictionaries(languages, keyword_sets(FOREIGN), max_size=2),
    countries=st.dictionaries(st.sampled_from(COUNTRIES), overrides, max_size=2),
)
"""Any configuration that can be written, even if a keyword has several meanings."""
configurations = any_configurations.filter(lambda config: not problems_of(config))
"""Configurations that may be activated."""

# Histories

BARE_RECIPIENTS = (RECIPIENT, OTHER_RECIPIENT)
UNOWNED = "+15551234569"  # in the pool of a service without AOO
SMS_SENDERS = (LONG_CODE, OTHER_LONG_CODE, UNOWNED, TOLL_FREE, OTHER_TOLL_FREE, SHORT_CODE)
SENDERS = (*SMS_SENDERS, RCS_SENDER, WHATSAPP_SENDER)
TALK = (
    *("STOP", "stop", "Stop!", "“stop”", "cancel", "end", "opt out", "baja"),
    *("START", "start", "unstop", "yes", "alta", "Start!"),
    *("HELP", "help!", "ayuda"),
    *("Stop please", "see you at 10", ""),
)


def a_directory(config: OptOutConfig) -> Directory:
    """One service with AOO, one without, and senders in neither."""
    aoo = a_service(*(LONG_CODE, TOLL_FREE, SHORT_CODE, RCS_SENDER, WHATSAPP_SENDER), active=config)
    return Directory([aoo, a_service(UNOWNED, sid=OTHER_SERVICE, active=None)])


conversations = st.builds(
    OptOutConfig,
    repeat_reply=st.booleans(),
    yes_only_when_blocked=st.booleans(),
    help_when_blocked=st.sampled_from([frozenset[SenderType](), frozenset({SenderType.TOLL_FREE})]),
    reply_limit=st.sampled_from([1, 4]),
    languages=st.just(
        {
            "es": {
                kind: KeywordSet((word,), f"es {kind}")
                for kind, word in zip(OptOutType, ("baja", "alta", "ayuda"), strict=True)
            }
        }
    ),
)
"""Configurations in which every text of ``TALK`` is a keyword."""


@st.composite
def arrivals(draw: st.DrawFn, number: int) -> Arrival:
    """The times of a history: some records within a second of each other, some late."""
    appended_ms = NOW_MS + 400 * number
    late_ms = st.integers(NOW_MS - 1_000, NOW_MS + 400 * 16)
    return Arrival(appended_ms, draw(st.none() | st.none() | late_ms))


@st.composite
def hits(draw: st.DrawFn, directory: Directory, number: int) -> Hit | None:
    """A message of a history; None if it is not a keyword."""
    sender = draw(st.sampled_from(SENDERS))
    prefix = sender.partition(":")[0] + ":" if ":" in sender else ""
    account_sid = draw(st.sampled_from([ACCOUNT] * 5 + [OTHER_ACCOUNT]))
    handling = directory.handling(account_sid, None, sender)
    named = handling.service_sid if draw(st.booleans()) else None
    message = an_inbound(
        draw(st.sampled_from(TALK)),
        message_sid=f"SM{number}",
        account_sid=account_sid,
        service_sid=named,
        recipient=prefix + draw(st.sampled_from(BARE_RECIPIENTS)),
        sender=sender,
        received_at_ms=NOW_MS,
        arrival=draw(arrivals(number)),
    )
    country = draw(st.sampled_from(["US", "US", "CA", "JM", None]))
    match = handling.policy.match(message.body, country) if handling.policy else None
    return None if match is None else Hit(message, match, handling, country)


@st.composite
def commands(draw: st.DrawFn, directory: Directory, number: int) -> Item:
    """An operator's change."""
    sender = draw(st.sampled_from(SENDERS))
    scope = draw(st.sampled_from(Scope))
    return a_command(
        command_id=f"CC{number}",
        scope=scope,
        service_sid=SERVICE if scope is Scope.SERVICE else None,
        sender=sender if scope is Scope.SENDER else None,
        recipient=draw(st.sampled_from(BARE_RECIPIENTS)),
        channel_group=channel_group_of(sender),
        blocked=draw(st.booleans()),
        reason=draw(st.sampled_from(["asked on the phone", None])),
        arrival=draw(arrivals(number)),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Item]:
    """The input of a partition's lane: keywords and commands of two recipients, each id once."""
    directory = a_directory(draw(conversations))
    items: list[Item] = []
    for number in range(draw(st.integers(1, 16))):
        if draw(st.integers(0, 5)) == 0:
            items.append(draw(commands(directory, number)))
        elif hit := draw(hits(directory, number)):
            items.append(hit)
    return items


@st.composite
def redelivered(draw: st.DrawFn, items: Sequence[Item]) -> list[Item]:
    """The same items, some of them repeated later."""
    again = list(items)
    for index in draw(st.lists(st.integers(0, len(items) - 1), max_size=6)) if items else []:
        first = next(place for place, item in enumerate(again) if item is items[index])
        again.insert(draw(st.integers(first + 1, len(again))), items[index])
    return again


@st.composite
def batches(draw: st.DrawFn, items: Sequence[Item]) -> list[list[Item]]:
    """The same items, cut into batches anywhere; some may be empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(items)), max_size=5)))
    bounds = [0, *cuts, len(items)]
    return [list(items[start:end]) for start, end in pairwise(bounds)]


# The block list

sids = st.text(st.sampled_from("AMabc019_.:-"), min_size=1, max_size=64)
marks = st.builds(Mark, st.integers(0, 1 << 53), st.integers(0, 1 << 31))


times = st.integers(0, 253_370_764_799_999)  # to the end of the year 9998
sources = st.builds(
    lambda kind, change_id, times: Source(kind, change_id, min(times), max(times)),
    st.sampled_from(SourceKind),
    sids,
    st.tuples(times, times),
)
intent_sets = st.frozensets(st.sampled_from(["otp", "marketing", "alerts"]), min_size=1)
intents = st.one_of(
    st.just(ALL_INTENTS),
    st.builds(Intents, only=intent_sets),
    st.builds(Intents, but=intent_sets),
)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Any block that a topic can contain."""
    scope = draw(st.sampled_from(Scope))
    target = {
        Scope.ACCOUNT: st.just(""),
        Scope.SERVICE: sids,
        Scope.SENDER: st.sampled_from(SENDERS),
    }
    return Block(
        scope=scope,
        target=draw(target[scope]),
        carrier=scope is Scope.SENDER and draw(st.booleans()),
        sources=sources_of(draw(st.lists(sources, min_size=1, max_size=3))),
        mark=draw(marks),
        intents=draw(intents),
        locked=draw(st.booleans()),
    )


block_lists: st.SearchStrategy[Blocks] = st.lists(blocks(), min_size=1, max_size=5).map(tuple)
entry_keys = st.builds(
    lambda account, prefix, number: f"{account}/{prefix}{number}",
    sids,
    st.sampled_from(["", "whatsapp:"]),
    st.from_regex(r"\A\+1555[0-9]{7}\Z"),
)

# Records

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 70), 1 << 70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=20),
        st.sampled_from(
            [
                *(
                    "+15551234567",
                    "whatsapp:+15551234567",
                    "rcs:agent",
                    "12345",
                    "Clinic",
                    "",
                    "US",
                ),
                *("2026-11-02T12:00:00Z", "2026-11-02T12:00:00+02:00", "2026-11-02 12:00Z"),
                *("2026-11-02", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.9999Z", "0"),
                *("https://example.com/x", "SM1", "x" * 65, "x" * 4097, 1, 1.0, 2, 101, 1 << 63),
            ]
        ),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@st.composite
def mutated(draw: st.DrawFn, record: dict[str, Any]) -> dict[str, Any]:
    """A record with fields removed, replaced and added."""
    names = st.sampled_from([*record, "schema_version", "from_", "surplus"])
    changed = {**record, **draw(st.dictionaries(names, json_values, max_size=3))}
    lost = draw(st.sets(st.sampled_from(sorted(record)), max_size=2))
    return {name: value for name, value in changed.items() if name not in lost}


@st.composite
def broken(draw: st.DrawFn, value: bytes) -> bytes:
    """A value with a few bytes removed or inserted."""
    start = draw(st.integers(0, len(value)))
    end = draw(st.integers(start, min(len(value), start + 3)))
    return value[:start] + draw(st.binary(max_size=3)) + value[end:]
