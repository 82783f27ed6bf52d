"""R5, R6, R8, R10, R12: documents of services.yaml over the services that are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from pydantic import ValidationError

from processor.configuration.apply import apply, changed, disabled, enabled
from processor.configuration.documents import read_document
from processor.core.messages import SenderType
from processor.core.policy import CountryOverride, LateReply, MatchMode, OptOutConfig
from processor.core.services import PoolSender, Service
from processor.core.suspected import Overdue, OwnWords, TierPolicy
from processor.wire.json_values import reason
from processor.wire.services import (
    config_of,
    read_head,
    read_service,
    read_stored,
    service_of,
    write_stored,
)
from schemas.messaging_service import MessagingService, OptOut, ServiceDocument
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OTHER_ACCOUNT,
    OTHER_SERVICE,
    SERVICE,
    SHORT_CODE,
    lines,
    sets,
)

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 3, 12, tzinfo=UTC)
CANCEL = {"keywords": "cancel", "reply": "x"}
BAJA = {"STOP": {"keywords": ["baja"], "reply": "es STOP"}}


class Outcome(NamedTuple):
    """The changes that were applied, with their problems as people read them."""

    changed: Mapping[str, MessagingService]
    sids: Sequence[str]
    problems: list[str]


def a_document(**changes: Any) -> dict[str, Any]:
    return {
        "sid": SERVICE,
        "account_sid": ACCOUNT,
        "friendly_name": "Clinic reminders",
        "senders": [{"address": LONG_CODE}, {"address": SHORT_CODE, "country": "US"}],
        **changes,
    }


def laid_over(
    stored: Mapping[str, MessagingService], *documents: dict[str, Any], now: datetime = NOW
) -> Outcome:
    applied = apply(documents, stored, now=now, new_sid=lambda: OTHER_SERVICE)
    return Outcome(applied.changed, applied.sids, lines(applied.problems))


def read(given: Any) -> tuple[ServiceDocument | None, list[str]]:
    document, problems = read_document(given)
    return document, lines(problems)


def stored(*documents: dict[str, Any]) -> Mapping[str, MessagingService]:
    applied = laid_over({}, *documents)
    assert applied.problems == []
    return applied.changed


def test_r5_aoo_starts_disabled_and_the_draft_is_kept() -> None:
    (model,) = stored(a_document(opt_out={"languages": {"es": BAJA}})).values()
    assert config_of(model.opt_out) == OptOutConfig(languages={"es": sets("es", stop="baja")})
    assert service_of(model) == Service(
        sid=SERVICE,
        account_sid=ACCOUNT,
        senders=(
            PoolSender(LONG_CODE, SenderType.LONG_CODE),
            PoolSender(SHORT_CODE, SenderType.SHORT_CODE),
        ),
        active=None,
        version=1,
    )


def test_r5_enabling_makes_the_draft_active_in_one_step() -> None:
    (before,) = stored(a_document(opt_out={"languages": {"es": BAJA}})).values()
    after = enabled(before, now=LATER)
    assert (after.active, after.opt_out.enabled, after.version) == (after.opt_out, True, 2)
    assert service_of(after).active == config_of(before.opt_out)


def test_r5_a_save_of_a_draft_has_no_effect_and_counts() -> None:
    first = stored(a_document())
    (after,) = laid_over(first, a_document(opt_out={"languages": {"es": BAJA}})).changed.values()
    assert (after.active, after.version) == (None, 2)


def test_r5_while_enabled_each_valid_save_takes_effect() -> None:
    first = stored(a_document(opt_out={"enabled": True}))
    edited = a_document(opt_out={"enabled": True, "languages": {"es": BAJA}})
    (after,) = laid_over(first, edited, now=LATER).changed.values()
    assert (after.active, after.version, after.updated_at) == (after.opt_out, 2, LATER)
    assert service_of(after).active == OptOutConfig(languages={"es": sets("es", stop="baja")})


def test_r5_disabling_is_refused() -> None:
    first = stored(a_document(opt_out={"enabled": True}))
    assert laid_over(first, a_document()) == Outcome(
        {},
        [SERVICE],
        [
            "service 1 (Clinic reminders): opt_out.enabled: Advanced Opt-Out is enabled, and only"
            " an operator may disable it"
        ],
    )


def test_r12_applying_a_document_again_changes_nothing() -> None:
    document = a_document(opt_out={"enabled": True, "languages": {"es": BAJA}})
    assert laid_over(stored(document), document, now=LATER) == Outcome({}, [SERVICE], [])


def test_a_document_without_a_sid_is_the_service_of_its_name_or_a_new_one() -> None:
    nameless = {name: value for name, value in a_document().items() if name != "sid"}
    assert list(laid_over({}, nameless).changed) == [OTHER_SERVICE]
    assert laid_over(stored(a_document()), nameless).sids == [SERVICE]


def test_r10_problems_of_every_document_are_returned_at_once_and_nothing_is_applied() -> None:
    twice = {"es": BAJA, "pt": BAJA}
    nameless = a_document(sid=OTHER_SERVICE, friendly_name="", senders=[{"address": "12"}])
    applied = laid_over({}, a_document(opt_out={"languages": twice}), nameless)
    assert applied == Outcome(
        {},
        [SERVICE],
        [
            "service 1 (Clinic reminders): opt_out.languages.pt.STOP.keywords: 'baja' is 'baja' of"
            " languages.es.STOP; a keyword has one meaning, so take one out",
            "service 2: friendly_name: String should have at least 1 character",
            "service 2: senders.0.address: is not a sender: an E.164 number, a short code of 3 to 8"
            " digits, rcs: and an agent, or a name of up to 11 characters",
        ],
    )


ACTIVE = a_document(
    opt_out={
        "enabled": True,
        "standard": {"STOP": {"keywords": ["stop", "end"], "reply": "standard STOP"}},
        "languages": {"es": BAJA},
    }
)


@pytest.mark.parametrize(
    ("opt_out", "problem"),
    [
        (
            {"languages": {"es": BAJA, "pt": BAJA}},
            "opt_out.languages.pt.STOP.keywords: 'baja' is 'baja' of languages.es.STOP; a keyword"
            " has one meaning, so take one out",
        ),
        (
            {"standard": {"STOP": {"keywords": ["end"], "reply": "standard STOP"}}},
            "opt_out.standard.STOP.keywords: put 'stop' back; it is always a keyword",
        ),
        (
            {"languages": {"es": {"STOP": {"keywords": [], "reply": "es STOP"}}}},
            "opt_out.languages.es.STOP.keywords: has no keyword; add one, or leave STOP out to have"
            " the usual words",
        ),
        (
            {"languages": {"Klingon": BAJA}},
            "opt_out.languages.Klingon: unknown language; give a tag (es) or an English name"
            " (Spanish)",
        ),
        (
            {"countries": {"XX": {"languages": {"es": BAJA}}}},
            "opt_out.countries.XX: unknown country; ISO 3166 has two capital letters for each",
        ),
        (
            {"languages": {"es": {"STOP": {"keywords": ["baja"], "reply": "x" * 321}}}},
            "opt_out.languages.es.STOP.reply: String should have at most 320 characters",
        ),
        (
            {
                "match": "exact",
                "languages": {"es": {"STOP": {"keywords": ["no mas"], "reply": "es STOP"}}},
            },
            "opt_out.languages.es.STOP.keywords: 'no mas' has white space within; take it"
            " out, or set match to tolerant",
        ),
    ],
)
def test_r7_r9_r10_a_bad_save_is_refused_with_its_place_and_what_is_active_stays(
    opt_out: dict[str, Any], problem: str
) -> None:
    applied = laid_over(stored(ACTIVE), a_document(opt_out={"enabled": True, **opt_out}))
    assert applied.changed == {}
    assert applied.problems == [f"service 1 (Clinic reminders): {problem}"]


def test_r7_a_reserved_word_that_never_was_in_the_list_is_added_not_asked_for() -> None:
    halt = {"standard": {"STOP": {"keywords": ["halt"], "reply": "standard STOP"}}}
    [model] = stored(a_document(opt_out=halt)).values()
    assert laid_over({SERVICE: model}, a_document(opt_out=halt)) == Outcome({}, [SERVICE], [])


def test_two_services_of_one_name_need_a_sid_each() -> None:
    nameless = {name: value for name, value in a_document().items() if name != "sid"}
    applied = laid_over({}, nameless, nameless)
    assert applied.problems == [
        f"service 2 (Clinic reminders): sid: {OTHER_SERVICE} is described twice; services of one"
        " name need one each"
    ]


def test_a_service_of_another_account_is_not_touched() -> None:
    applied = laid_over(stored(a_document()), a_document(account_sid=OTHER_ACCOUNT))
    assert (applied.changed, len(applied.problems)) == ({}, 1)


def test_r1_a_sender_in_two_services_is_refused() -> None:
    first = stored(a_document())
    other = a_document(sid=OTHER_SERVICE, friendly_name="Pharmacy")
    applied = laid_over(first, other)
    in_one = "remove it there first"
    assert applied.changed == {}
    assert applied.problems == [
        f"service 1 (Pharmacy): senders.{index}.address: is in service {SERVICE} (Clinic reminders)"
        f" already; {in_one}"
        for index in range(2)
    ]
    # Also where either of them has another problem.
    broken = a_document(sid=OTHER_SERVICE, friendly_name="Pharmacy", opt_out=7)
    applied = laid_over({}, a_document(validity_period=0), broken)
    assert [problem for problem in applied.problems if in_one in problem] == [
        f"service 2 (Pharmacy): senders.{index}.address: is in service 1 (Clinic reminders)"
        f" already; {in_one}"
        for index in range(2)
    ]


@pytest.mark.parametrize(
    ("given", "keywords"),
    [
        ("stop, end", ["stop", "end"]),
        (" stop ,, end ,", ["stop", "end"]),
        (["stop", " end ", "", "  "], ["stop", "end"]),
        ("stop، توقف，退订、取消", ["stop", "توقف", "退订", "取消"]),
        ("", []),
    ],
)
def test_r8_keywords_come_as_a_list_or_comma_separated(given: object, keywords: list[str]) -> None:
    opt_out = OptOut.model_validate({"standard": {"STOP": {"keywords": given, "reply": "x"}}})
    assert opt_out.standard["STOP"].keywords == keywords


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"freindly_name": "x"}, "freindly_name: unknown field"),
        ({"opt_out": {"languges": {}}}, "opt_out.languges: unknown field"),
        ({"account_sid": 5}, "account_sid: must be a text, in quotes"),
        (
            {"opt_out": {"languages": {"Spanish!": BAJA}}},
            "opt_out.languages.Spanish!: unknown language; give a tag (es) or an English name"
            " (Spanish)",
        ),
        (
            {"opt_out": {"countries": {"MX": {"languages": {}}}}},
            "opt_out.countries.MX.languages: is empty",
        ),
        ({"opt_out": {"standard": {"STOP": 5}}}, "opt_out.standard.STOP: must be a mapping"),
        (
            {"opt_out": {"standard": {"STOP": {"keywords": "x" * 35, "reply": "y"}}}},
            "opt_out.standard.STOP.keywords.0: String should have at most 34 characters",
        ),
        (
            {"opt_out": {"standard": {"STOP": {"keywords": "x", "reply": " \n"}}}},
            "opt_out.standard.STOP.reply: is not a text: it has white space only",
        ),
        (
            {"opt_out": {"standard": {"STOP": {"keywords": "x", "reply": "y" * 321}}}},
            "opt_out.standard.STOP.reply: String should have at most 320 characters",
        ),
    ],
)
def test_r10_a_document_is_refused_with_the_place_of_each_problem(
    changes: dict[str, Any], problem: str
) -> None:
    assert read(a_document(**changes)) == (None, [problem])


def test_a_problem_has_its_document_its_place_and_a_code_for_programs() -> None:
    given = a_document(opt_out={"languages": {"es": {"STOP": {"keywords": "a", "reply": 5}}}})
    pool = a_document(sid=OTHER_SERVICE, friendly_name="Twin")
    problems = apply([given, pool], {}, now=NOW, new_sid=lambda: SERVICE).problems
    assert [(one.where, one.place, one.code) for one in problems] == [
        (
            ("service 1 (Clinic reminders)",),
            ("opt_out", "languages", "es", "STOP", "reply"),
            "string_type",
        ),
        *(
            (("service 2 (Twin)",), ("senders", index, "address"), "sender_in_another_pool")
            for index in ("0", "1")
        ),
    ]


def test_r5_what_is_enabled_or_disabled_already_stays_the_same() -> None:
    [off] = stored(a_document()).values()
    on = enabled(off, now=LATER)
    assert disabled(off, now=LATER) is off
    assert enabled(on, now=LATER) is on


def test_r10_one_problem_hides_no_other() -> None:
    opt_out = {
        "languages": {"es": BAJA, "pt": BAJA},
        "countries": {one: {"languages": {"es": BAJA}} for one in ("XX", "mx", "Mexico", "MX")},
    }
    _, problems = read(a_document(account_sid=5, opt_out=opt_out))
    unknown = "unknown country; ISO 3166 has two capital letters for each"
    assert problems == [
        *(f"opt_out.countries.{country}: {unknown}" for country in ("XX", "mx", "Mexico")),
        "account_sid: must be a text, in quotes",
        "opt_out.languages.pt.STOP.keywords: 'baja' is 'baja' of languages.es.STOP; a keyword has"
        " one meaning, so take one out",
    ]


@pytest.mark.parametrize(
    "opt_out",
    [
        {"match": "loose"},
        {"standard": {"STOP": {"keywords": "stop, baja, fin", "reply": "x" * 321}}},
        {"standard": {"STOP": {"keywords": ["baja", "k" * 35, "fin"], "reply": "x"}}},
        {"languages": {"Klingon": {"STOP": {"keywords": "baja, fin", "reply": "x"}}}},
        {"countries": {"UK": {"languages": {"es": {**BAJA, "HELP": BAJA["STOP"]}}}}},
        {"countries": {"MX": {"languages": {"es": {**BAJA, "HELP": BAJA["STOP"]}, "x": []}}}},
    ],
)
def test_r10_what_can_be_read_of_a_broken_configuration_is_held_to_the_rules(
    opt_out: dict[str, Any],
) -> None:
    languages = {"es": BAJA, "pt": {"STOP": {"keywords": "fin, baja", "reply": "x"}}}
    opt_out = {**opt_out, "languages": {**languages, **opt_out.get("languages", {})}}
    _, problems = read(a_document(opt_out=opt_out))
    broken = [problem for problem in problems if "one meaning" not in problem]
    clashes = [problem for problem in problems if "'baja' is 'baja' of" in problem]
    assert broken
    assert len(problems) == len(set(problems))
    assert [problem.partition(":")[0] for problem in clashes][:1] == [
        "opt_out.languages.es.STOP.keywords"
        if "standard" in opt_out
        else "opt_out.languages.pt.STOP.keywords"
    ]
    assert len(clashes) > ("countries" in opt_out)


@pytest.mark.parametrize(
    "changes",
    [
        {"sid": ["MG"], "account_sid": {"a": 1}, "friendly_name": ["x"], "senders": "none"},
        {"senders": [None, {"address": 5}, {}], "opt_out": {"standard": {"STOP": 5, "X": {}}}},
        {"opt_out": {"languages": {"es": [], None: {}}, "countries": {"MX": {"languages": 5}}}},
        {"opt_out": {"standard": {"STOP": {"keywords": {}}}, "countries": [], "languages": "es"}},
    ],
)
def test_r10_a_document_may_be_broken_anywhere(changes: dict[str, Any]) -> None:
    applied = laid_over({}, {**a_document(), **changes})
    assert applied.changed == {}
    assert applied.problems


def test_a_configuration_is_read_whole() -> None:
    given = {
        "enabled": True,
        "match": "exact",
        "repeat_reply": "always",
        "yes_only_when_blocked": True,
        "help_when_blocked": ["short_code"],
        "stop_when_blocked": ["rcs"],
        "reply_limit": 9,
        "late_reply": "drop",
        "phrases": "off",
        "suspected": "block",
        "overdue": "keep",
        "standard": {"STOP": {"keywords": "stop, end", "reply": "standard STOP"}},
        "languages": {"es": BAJA},
        "countries": {"MX": {"country_fallback": False, "languages": {"es": BAJA}}},
    }
    assert config_of(OptOut.model_validate(given)) == OptOutConfig(
        match=MatchMode.EXACT,
        repeat_reply=True,
        yes_only_when_blocked=True,
        help_when_blocked=frozenset({SenderType.SHORT_CODE}),
        stop_when_blocked=frozenset({SenderType.RCS}),
        reply_limit=9,
        late_reply=LateReply.DROP,
        own_words=OwnWords(TierPolicy.OFF, TierPolicy.BLOCK, Overdue.KEEP),
        standard=sets("standard", stop="stop, end"),
        languages={"es": sets("es", stop="baja")},
        countries={"MX": CountryOverride({"es": sets("es", stop="baja")}, country_fallback=False)},
    )


def test_a_stored_service_is_read_as_it_was_written() -> None:
    (model,) = stored(
        a_document(
            opt_out={"enabled": True, "languages": {"es": BAJA}},
            inbound_request_url="https://example.com/inbound",
            senders=[
                {"address": LONG_CODE, "type": "toll_free"},
                {"address": SHORT_CODE, "registered": BAJA, "country": "US"},
            ],
        )
    ).values()
    assert read_stored(write_stored(model)) == model
    assert json.loads(write_stored(model))["version"] == 1


@pytest.mark.parametrize(
    ("limit", "problem"),
    [
        ("7", None),
        (7, None),
        ("0", "greater than or equal to 1"),
        ("21", "less than or equal to 20"),
    ],
)
def test_r37_the_limit_of_replies_is_a_number_from_1_to_20(limit: Any, problem: str | None) -> None:
    applied = laid_over({}, a_document(opt_out={"reply_limit": limit}))
    if problem is None:
        [model] = applied.changed.values()
        assert model.opt_out.reply_limit == 7
    else:
        [found] = applied.problems
        assert "opt_out.reply_limit" in found
        assert problem in found


def test_what_twilio_calls_a_services_settings_is_kept_and_a_number_is_one() -> None:
    document = a_document(
        status_callback="https://example.com/status", validity_period="600", usecase="marketing"
    )
    (model,) = stored(document).values()
    assert (model.status_callback, model.validity_period, model.usecase) == (
        *("https://example.com/status", 600),
        "marketing",
    )
    assert model.created_at == model.updated_at
    (before,) = stored(document).values()
    poll = document | {"usecase": "poll"}
    later = laid_over({before.sid: before}, poll, now=LATER).changed[before.sid]
    assert (later.created_at, later.updated_at) == (NOW, LATER)


def as_stored(**changes: Any) -> bytes:
    model = {**a_document(), "version": 1, "updated_at": "2026-11-02T12:00:00.000Z"}
    return json.dumps(model | changes).encode()


RULES = {
    "match": "exact",
    "repeat_reply": "always",
    "help_when_blocked": ["rcs"],
    "stop_when_blocked": [],
    "reply_limit": 20,
    "late_reply": "drop",
    "phrases": "report",
    "overdue": "block",
    "standard": {"STOP": {"keywords": " stop,end,, ", "reply": "standard STOP"}},
    "languages": {"es": BAJA, "pt": {}},
    "countries": {"MX": {"country_fallback": False, "languages": {"es": BAJA}}},
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"active": None, "opt_out": RULES},
        {"active": RULES, "opt_out": RULES},
        {"active": RULES, "opt_out": {}, "unknown": {"es": 1}},
        {"senders": [{"address": SHORT_CODE, "registered": BAJA}], "active": {"unknown": 1}},
    ],
)
def test_a_service_read_in_parts_is_the_one_read_whole(changes: dict[str, Any]) -> None:
    value = as_stored(**changes)
    assert read_service(value) == service_of(read_stored(value))


@pytest.mark.parametrize(
    "changes",
    [
        {"active": []},
        {"active": {"languages": None}},
        {"opt_out": {"languages": {"es": {"STOP": {"keywords": "x"}}}}, "active": RULES},
        {"active": {"languages": {'es":{}},"x': BAJA}}},
        {"active": {"languages": {"es": {"STOP": {"keywords": ["x" * 35], "reply": "y"}}}}},
        {"active": {"countries": {"mx": {"languages": {"es": BAJA}}}}},
        {"version": 0},
    ],
)
def test_a_service_refused_whole_is_refused_in_parts_for_the_same_reason(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(ValidationError) as whole:
        read_stored(as_stored(**changes))
    with pytest.raises(ValidationError) as parts:
        read_service(as_stored(**changes))
    assert reason(parts.value) == reason(whole.value)


def test_a_head_is_the_service_without_its_configuration_and_is_refused_as_the_whole_is() -> None:
    head = read_head(as_stored(friendly_name="Clinic"))
    assert (head.friendly_name, head.opt_out) == ("Clinic", OptOut())
    with pytest.raises(ValidationError):
        read_head(as_stored(version=0))


def test_a_field_that_is_changed_makes_the_next_version_and_nothing_makes_none() -> None:
    [before] = stored(a_document()).values()
    after = changed(before, friendly_name="Shop")
    assert (after.friendly_name, after.version) == ("Shop", before.version + 1)
    assert changed(before, friendly_name=before.friendly_name) is before


@pytest.mark.parametrize("readable_first", [True, False])
def test_one_service_described_twice_takes_part_in_the_check_of_pools_once(
    readable_first: bool,
) -> None:
    good, bad = a_document(), a_document(friendly_name="")
    documents = (good, bad) if readable_first else (bad, good)
    problems = laid_over(stored(a_document()), *documents).problems
    assert problems
    assert not [one for one in problems if "senders" in one]


def test_services_that_say_the_same_share_it() -> None:
    one, other = (
        read_service(as_stored(sid=sid, active=RULES | {"repeat_reply": reply})).active
        for sid, reply in ((SERVICE, "once"), (OTHER_SERVICE, "always"))
    )
    assert one is not None
    assert other is not None
    assert one.standard is other.standard
    assert one.languages["es"] is other.languages["es"]
    assert one.countries["MX"] is other.countries["MX"]


def test_a_language_may_be_said_by_its_english_name() -> None:
    named = a_document(opt_out={"languages": {"Spanish": BAJA}})
    [model] = stored(named).values()
    assert list(model.opt_out.languages) == ["es"]


def test_r6_a_language_said_twice_and_an_unknown_country_are_refused() -> None:
    opt_out = {
        "languages": {"Spanish": BAJA, "es": BAJA},
        "countries": {"XX": {"languages": {"es": BAJA}}},
    }
    assert read(a_document(opt_out=opt_out)) == (
        None,
        [
            "opt_out.languages.es: is given twice, as es",
            "opt_out.countries.XX: unknown country; ISO 3166 has two capital letters for each",
        ],
    )


def test_r5_disabling_leaves_what_was_active_as_the_draft() -> None:
    [model] = stored(a_document(opt_out={"enabled": True, "languages": {"es": BAJA}})).values()
    after = disabled(model, now=LATER)
    assert (after.active, after.version, after.opt_out.enabled) == (None, 2, False)
    assert after.opt_out.languages == model.opt_out.languages


@pytest.mark.parametrize(
    "opt_out",
    [
        {"languages": {"es": {"STOP": {"reply": "x"}}}},
        {"languages": {"es": {"STOP": {"keywords": [5, "stop"], "reply": "x"}}}},
        {"standard": {"Stop": {"keywords": "fin"}}, "languages": {"pt": {"STOP": CANCEL}}},
        {"standrad": {"STOP": {"keywords": "fin"}}, "languages": {"pt": {"STOP": CANCEL}}},
        {"countries": {"CH": {"languages": {"de": {"STOP": 5}, "fr": {"STOP": CANCEL}}}}},
    ],
)
def test_r9_what_cannot_be_read_is_taken_for_nothing(opt_out: dict[str, Any]) -> None:
    _, problems = read(a_document(opt_out=opt_out))
    assert problems
    assert [problem for problem in problems if "one meaning" in problem] == []


def test_r1_senders_nobody_can_read_are_no_ones() -> None:
    nameless = {"friendly_name": "A", "senders": [{"address": None}, {"address": None}, {}]}
    other = {"friendly_name": "B", "senders": [{"address": LONG_CODE}]}
    applied = laid_over({}, nameless, other, {**other, "friendly_name": "C"})
    assert [problem for problem in applied.problems if "remove it there first" in problem] == []
    assert [problem for problem in applied.problems if "twice" in problem] == []


URLS = {
    "inbound_request_url": "http://[",
    "fallback_url": "http://a℀b.com",
    "status_callback": "https://example.com:22/",
}


def test_an_address_that_cannot_be_asked_is_refused_with_its_place_and_the_remedy() -> None:
    such = "; a URL is such as https://example.com/path"
    place = "service 1 (Clinic reminders)"
    expected = [
        f"{place}: inbound_request_url: the URL has no proper host and port{such}",
        f"{place}: fallback_url: the URL has no proper host and port{such}",
        f"{place}: status_callback: the port is neither 80 nor 443 nor from 1024 on{such}",
    ]
    applied = laid_over({}, a_document(**URLS))
    assert (applied.problems, applied.changed) == (expected, {})
    # No problem hides another (R10), and none is named twice.
    broken = laid_over({}, a_document(**URLS, sticky_sender="no"))
    assert broken.problems[1:] == expected
    nowhere = laid_over({}, a_document(status_callback="nowhere"))
    assert nowhere.problems == [f"{place}: status_callback: is not an http or https address"]


def test_an_address_that_is_stored_already_keeps_nobody_from_changing_the_rest() -> None:
    [before] = stored(a_document()).values()
    bad = {SERVICE: before.model_copy(update=URLS)}
    assert laid_over(bad, a_document(**URLS)).changed == {}
    changed = laid_over(bad, a_document(**URLS, sticky_sender=False)).changed
    assert changed[SERVICE].inbound_request_url == "http://["
    other = laid_over(bad, a_document(**URLS | {"fallback_url": "http://]"}))
    assert [one.split(":")[1] for one in other.problems] == [" fallback_url"]
    assert read_service(write_stored(bad[SERVICE])) == service_of(bad[SERVICE])
