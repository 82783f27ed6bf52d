"""R30: the effects of an opt-out in words of the recipient's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.core.blocks import SourceKind
from processor.core.due import due_ms
from processor.core.events import (
    BlockChange,
    Cause,
    OptOutNotification,
    ReplySend,
    WebhookDelivery,
)
from processor.core.fold import Reported, brake_for, fold, handled_of
from processor.core.lookup import Tier
from processor.core.messages import Arrival, OptOutType, Scope
from processor.core.policy import DEFAULT_POLICY, RCS_POLICY, CountryOverride, OptOutConfig, Policy
from processor.core.services import Directory, Webhook
from processor.core.suspected import TierPolicy
from tests.builders import (
    ACCOUNT,
    ENTRY,
    LONG_CODE,
    MARK,
    MESSAGE,
    NOW_MS,
    RECIPIENT,
    TOLL_FREE,
    Decided,
    a_block,
    a_change,
    a_command,
    a_config,
    a_finding,
    a_handling,
    a_hit,
    a_meaning,
    a_notification,
    a_reply,
    a_report,
    a_service,
    an_inbound,
    commanded,
    decided,
    phrased,
    sets,
)

OWN, KEYWORD, REVIEW = SourceKind.OWN_WORDS, SourceKind.KEYWORD, SourceKind.REVIEW
REPORTED = a_finding(policy=TierPolicy.REPORT)
LATER = Arrival(NOW_MS + 60_000)
HOOK = Webhook("https://example.com/inbound")


def kinds(decision: Decided) -> list[SourceKind]:
    return [source.kind for block in decision.blocks for source in block.sources]


def names(decision: Decided) -> list[str]:
    return [type(event).__name__ for event in decision.events]


# A text that blocks


def test_r30_a_phrase_that_blocks_does_what_a_stop_does() -> None:
    body, meaning = "please stop", a_meaning()
    change = a_change(
        kind=OWN, cause=Cause(MESSAGE, OptOutType.STOP, "stop", LONG_CODE, "own-words")
    )
    assert phrased(body) == Decided(
        (change.block,) if change.block else (),
        (
            change,
            a_reply(body, text="standard STOP"),
            a_notification(body, match=meaning),
            a_report(finding=a_finding()),
        ),
    )
    assert (meaning.tier, meaning.keyword, meaning.finding) == (Tier.TOLERANT, "stop", a_finding())


@pytest.mark.parametrize(
    ("body", "keyword", "language"),
    [
        ("Baja, por favor", "baja", "es"),
        ("please stop", "stop", None),
        ("stop, la baja!", "stop", None),
        ("SOTP", "stop", None),
        ("please don't text abajas", "stop", None),
        ("请退订吧", "退订", "zh"),
    ],
)
def test_r17_r30_it_is_answered_in_the_language_of_the_keyword_in_it(
    body: str, keyword: str, language: str | None
) -> None:
    languages = {"es": sets("es", stop="baja"), "zh": sets("zh", stop="退订")}
    meaning = a_meaning(handling=a_handling(a_config(languages=languages)), body=body)
    assert (meaning.keyword, meaning.language) == (keyword, language)
    assert meaning.reply == f"{language or 'standard'} STOP"


def test_r18_r30_it_adds_a_cause_to_a_block_by_a_keyword_and_is_not_answered() -> None:
    repeated = phrased(blocks=decided("STOP").blocks, message_sid="SM2")
    assert kinds(repeated) == [KEYWORD, OWN]
    assert names(repeated) == ["BlockChange", "OptOutNotification", "SuspectedOptOut"]


def test_r18_r30_a_keyword_after_it_is_the_first_recorded_and_answered() -> None:
    stopped = decided("STOP", phrased().blocks, message_sid="SM2")
    assert kinds(stopped) == [OWN, KEYWORD]
    assert any(isinstance(event, ReplySend) for event in stopped.events)


def test_r18_r30_said_again_it_changes_nothing_but_the_time() -> None:
    again = phrased(blocks=phrased().blocks, arrival=LATER)
    assert names(again) == ["OptOutNotification", "SuspectedOptOut"]
    assert again.blocks[0].sources[0].last_ms == LATER.appended_ms


def test_r20_r30_the_toll_free_network_does_not_know_it_so_we_answer() -> None:
    handling = Directory([a_service(TOLL_FREE)]).handling(ACCOUNT, None, TOLL_FREE)
    there = phrased(handling=handling, sender=TOLL_FREE)
    assert [block.carrier for block in there.blocks] == [False]
    assert any(isinstance(event, ReplySend) for event in there.events)


def test_r19_r30_start_lifts_it_and_yes_does_not() -> None:
    blocks = phrased().blocks
    assert decided("START", blocks, arrival=LATER).blocks == ()
    assert decided("yes", blocks, arrival=LATER).blocks == blocks


def test_r30_a_review_undoes_it_and_nothing_else() -> None:
    both = phrased(blocks=decided("STOP").blocks, message_sid="SM2").blocks
    undo = a_command(source="review", blocked=False, arrival=LATER, message_sid=MESSAGE)
    assert kinds(commanded(undo, both)) == [KEYWORD]
    assert commanded(undo, phrased().blocks).blocks == ()


def test_r30_the_change_of_a_review_names_the_text_as_its_cause() -> None:
    confirmed = commanded(a_command(source="review", message_sid=MESSAGE))
    assert kinds(confirmed) == [REVIEW]
    (change,) = confirmed.events
    assert isinstance(change, BlockChange)
    assert change.cause.message_sid == MESSAGE


# A text that is reported


def test_r30_a_reported_text_changes_nothing_and_notifies_no_one() -> None:
    reported = Reported(an_inbound("please stop"), REPORTED, a_handling(), "US")
    folded = fold([reported], {}, set(), scope=Scope.ACCOUNT, mark=MARK)
    assert folded.events == (a_report(),)
    assert (folded.changed, folded.replied, brake_for(reported)) == ({}, {}, None)


def test_r22_r30_a_reported_text_counts_as_handled() -> None:
    reported = Reported(an_inbound("please stop"), REPORTED, a_handling(), "US")
    folded = fold([reported, reported], {}, set(), scope=Scope.ACCOUNT, mark=MARK)
    assert [len(events) for events in folded.decisions] == [1, 0]
    assert folded.handled == (handled_of(a_hit("STOP")),)
    again = fold([reported], {}, {handled_of(reported).id}, scope=Scope.ACCOUNT, mark=MARK)
    assert again.events == ()


def test_r28_r30_an_application_hears_of_it_as_of_any_text() -> None:
    handling = a_handling(webhook=HOOK)
    reported = Reported(an_inbound("please stop"), REPORTED, handling, "US")
    *_, delivery = fold([reported], {}, set(), scope=Scope.ACCOUNT, mark=MARK).events
    assert delivery == WebhookDelivery(reported.message, handling.service_sid, HOOK, None, REPORTED)
    *_, blocked = phrased(handling=handling).events
    assert blocked == WebhookDelivery(
        reported.message, handling.service_sid, HOOK, OptOutType.STOP, a_finding()
    )


def test_r30_a_reported_text_is_due_by_the_time_it_first_came() -> None:
    assert a_report().due_ms == due_ms(NOW_MS)
    sent_on = an_inbound("please stop", arrival=Arrival(NOW_MS, NOW_MS - 5_000))
    assert a_report(message=sent_on).due_ms == due_ms(NOW_MS - 5_000)
    assert a_report(finding=a_finding()).due_ms is None


def test_r30_reports_do_not_touch_the_list() -> None:
    reported = Reported(an_inbound("please stop"), REPORTED, a_handling(), "US")
    before = {ENTRY: (a_block(),)}
    folded = fold(
        [reported, a_hit("STOP", message_sid="SM2")], before, set(), scope=Scope.ACCOUNT, mark=MARK
    )
    assert not any(isinstance(event, OptOutNotification) for event in folded.decisions[0])
    assert list(folded.changed) == [f"{ACCOUNT}/{RECIPIENT}"]


# The STOP words in force


def test_r30_the_words_in_force_are_those_of_the_country_each_with_its_languages() -> None:
    policy = Policy(a_config())
    everywhere = {"stop": frozenset(), "end": frozenset(), "baja": frozenset({"es"})}
    assert policy.stop_words("US") == policy.stop_words(None) == everywhere
    assert policy.stop_words("MX") == {**everywhere, "alto": frozenset({"es"})}
    assert policy.stop_words("US") is policy.stop_words("CA")


def test_r16_r30_a_word_that_means_something_else_in_a_country_is_left_out() -> None:
    mexico = CountryOverride({"es": sets("MX", stop="alto", help="end")})
    assert "end" not in Policy(a_config(countries={"MX": mexico})).stop_words("MX")
    alone = replace(mexico, country_fallback=False)
    words = Policy(a_config(countries={"MX": alone})).stop_words("MX")
    assert words == {"alto": frozenset({"es"}), "stop": frozenset()}


def test_r30_a_word_of_two_languages_has_both() -> None:
    languages = {"da": sets("da", stop="stopp"), "de": sets("de", stop="stopp")}
    words = Policy(OptOutConfig(languages=languages)).stop_words("DE")
    assert words["stopp"] == {"da", "de"}


def test_r3_r30_default_handling_has_its_own_words() -> None:
    assert "unsubscribe" in DEFAULT_POLICY.stop_words("DE")
    assert RCS_POLICY.stop_words("BR")["parar"] == {"pt"}


def test_a_directory_knows_every_stop_keyword_in_force() -> None:
    directory = Directory()
    before = directory.keywords_version
    assert {"stop", "unsubscribe", "parar"} <= directory.stop_keywords()
    assert "alto" not in directory.stop_keywords()
    service = a_service()
    directory.change({service.sid: service})
    assert {"alto", "baja"} <= directory.stop_keywords()
    assert directory.keywords_version > before
    other = replace(service, sid="MG2", senders=())
    before = directory.keywords_version
    directory.change({other.sid: other})
    assert directory.keywords_version == before
    directory.change({service.sid: None, other.sid: None})
    assert "alto" not in directory.stop_keywords()
    assert directory.keywords_version > before
