"""One service's configuration, layer by layer: changes from the API and the console."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from processor.configuration.apply import enabled
from processor.configuration.drafts import not_in_force, warnings_about, with_draft
from processor.configuration.languages import starter
from processor.configuration.layers import (
    STANDARD_LAYER,
    Layer,
    keyword_type_of,
    kinds_at,
    layer_of,
    layers,
    sets_at,
    with_packs,
    with_sets,
    without_country,
)
from processor.configuration.trial import try_out
from processor.core.messages import OptOutType, Scope
from processor.errors import ConfigError
from schemas.messaging_service import MessagingService, OptOut
from tests.builders import SHORT_CODE, an_inbound
from tests.stored import a_stored_service

AT = datetime(2026, 11, 2, tzinfo=UTC)
ES, ES_MX = Layer("es", None), Layer("es", "MX")
BAJA = {"STOP": {"keywords": ["baja"], "reply": "Listo. ALTA para volver."}}
ALTO = {"STOP": {"keywords": ["alto"], "reply": "Vale. ALTA para volver."}}
GIVEN = {"languages": {"es": BAJA}, "countries": {"MX": {"languages": {"es": ALTO}}}}
OPT_OUT = OptOut.model_validate(GIVEN)


def a_service(**opt_out: Any) -> MessagingService:
    return a_stored_service(opt_out=OptOut.model_validate(opt_out))


@pytest.mark.parametrize(
    ("language", "country", "layer", "place", "name"),
    [
        ("ALL", "ALL", STANDARD_LAYER, "standard", "ALL"),
        ("SPANISH", "ALL", ES, "languages.es", "SPANISH"),
        ("es", "MX", ES_MX, "countries.MX.languages.es", "SPANISH"),
        ("SOUTHERN_SOTHO", "ALL", Layer("st", None), "languages.st", "SOUTHERN_SOTHO"),
    ],
)
def test_a_layer_is_named_by_language_and_country(
    language: str, country: str, layer: Layer, place: str, name: str
) -> None:
    found = layer_of(language, country)
    assert (found, found.place, found.language_name) == (layer, place, name)


def test_a_language_of_a_configuration_that_is_none_of_ours_is_named_by_its_tag() -> None:
    assert Layer("tlh", None).language_name == "tlh"


def test_everything_wrong_with_a_layers_name_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        layer_of("KLINGON", "XX")
    assert [str(one).partition(":")[0] for one in raised.value.problems] == ["language", "country"]
    with pytest.raises(ConfigError, match="language: a country has keyword sets by language"):
        layer_of("ALL", "MX")


def test_a_keyword_type_is_a_kind_and_a_language() -> None:
    assert keyword_type_of("STOP.SPANISH") == (OptOutType.STOP, "SPANISH")
    for given in ("QUIT.ALL", "STOP"):
        with pytest.raises(ConfigError, match="keyword_type: "):
            keyword_type_of(given)


def test_the_layers_are_standard_languages_and_countries() -> None:
    assert [layer for layer, _ in layers(OPT_OUT)] == [STANDARD_LAYER, ES, ES_MX]
    kinds = kinds_at(OPT_OUT, ES)
    assert kinds is not None
    assert kinds[OptOutType.STOP].keywords == ("baja",)
    assert sets_at(OPT_OUT, ES_MX) == ALTO
    assert sets_at(OPT_OUT, Layer("fr", None)) is None


def test_one_layer_is_replaced_and_the_others_stay() -> None:
    document = with_sets(OPT_OUT, STANDARD_LAYER, ALTO)
    assert document["standard"] == ALTO
    assert OptOut.model_validate(document).languages == OPT_OUT.languages
    assert with_sets(OPT_OUT, ES, ALTO)["languages"] == {"es": ALTO}
    assert with_sets(OPT_OUT, ES, {})["languages"] == {}


def test_a_country_goes_with_its_last_layer() -> None:
    document = with_sets(OPT_OUT, Layer("fr", "CA"), BAJA, fallback=False)
    assert list(document["countries"]) == ["MX", "CA"]
    assert document["countries"]["CA"] == {"languages": {"fr": BAJA}, "country_fallback": False}
    assert with_sets(OPT_OUT, ES_MX, {})["countries"] == {}
    assert without_country(OPT_OUT, "MX")["countries"] == {}


def test_a_draft_is_saved_and_what_it_changes_is_said() -> None:
    before = a_service()
    after = with_draft(before, GIVEN, now=AT)
    assert (after.opt_out, after.version) == (OPT_OUT, before.version + 1)
    assert str(not_in_force(after)[0]) == "languages.es.STOP.keywords: + baja"
    in_force = enabled(after, now=AT)
    assert not_in_force(in_force) == []
    assert with_draft(in_force, GIVEN, now=AT).active == in_force.active


def test_a_draft_that_changes_nothing_is_the_service_as_it_was() -> None:
    before = with_draft(a_service(), GIVEN, now=AT)
    assert with_draft(before, GIVEN, now=AT) is before


@pytest.mark.parametrize(
    ("draft", "problem"),
    [
        ({"enabled": True}, "enabled: a draft does not change it"),
        ({"languages": {"es": {"STOP": {"keywords": ["x" * 35], "reply": "y"}}}}, "languages.es"),
        ("nonsense", ""),
    ],
)
def test_a_draft_is_refused_with_the_place_of_its_problem(draft: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        with_draft(a_service(), draft, now=AT)
    assert str(raised.value.problems[0]).startswith(problem)


def test_what_needs_a_look_is_said_of_the_draft() -> None:
    short = {"STOP": {"keywords": ["stop"], "reply": "Bye."}}
    assert warnings_about(a_service(standard=short))


# Trials


def test_an_ordinary_message_stays_the_applications() -> None:
    trial = try_out(
        a_service(), an_inbound("hello"), blocked=True, draft=False, scope=Scope.ACCOUNT
    )
    assert (trial.kind, trial.blocked, trial.aoo_enabled) == (None, True, False)


def test_where_nobody_answers_a_short_code_by_default_every_message_is_ordinary() -> None:
    message = an_inbound("STOP", sender=SHORT_CODE)
    trial = try_out(a_service(), message, blocked=False, draft=False, scope=Scope.ACCOUNT)
    assert (trial.kind, trial.reply) == (None, None)


def test_a_draft_is_tried_as_if_it_were_in_force() -> None:
    message = an_inbound("alto", from_country="MX")
    trial = try_out(a_service(**GIVEN), message, blocked=False, draft=True, scope=Scope.ACCOUNT)
    assert (trial.kind, trial.layer) == (OptOutType.STOP, "countries.MX.languages.es")
    assert (trial.keyword, trial.reply, trial.blocked) == ("alto", ALTO["STOP"]["reply"], True)
    now = try_out(a_service(**GIVEN), message, blocked=False, draft=False, scope=Scope.ACCOUNT)
    assert now.kind is None


def test_starter_packs_are_added_beside_the_languages_that_are_there() -> None:
    added = OptOut.model_validate(with_packs(OPT_OUT, ["es", "fr"]))
    assert added.languages["es"] == OPT_OUT.languages["es"]
    assert added.languages["fr"]["STOP"].keywords == starter("fr")["STOP"]["keywords"]
    assert (set(added.languages), added.countries) == ({"es", "fr"}, OPT_OUT.countries)


def test_r9_packs_that_share_a_word_are_refused_with_the_place_of_both() -> None:
    before = a_service()
    with pytest.raises(ConfigError) as refused:
        with_draft(before, with_packs(before.opt_out, ["de", "sv"]), now=AT)
    [problem] = refused.value.values
    assert problem.place == ("languages", "sv", "STOP", "keywords")
    assert "'stopp' of languages.de.STOP" in problem.text
