"""R9: starter packs of several languages in one configuration, whose words mean one thing each."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from processor.cli import main
from processor.configuration.languages import languages
from processor.configuration.reviewed import Reviewed
from processor.configuration.rules import problems_of
from processor.configuration.starters import countries_of, starter_of
from processor.configuration.warnings import warnings_of
from processor.core.messages import OptOutType
from processor.core.policy import MatchMode, OptOutConfig, Policy
from processor.wire.services import config_of
from schemas.messaging_service import OptOut

STOP, START, HELP = OptOutType


def config(*tags: str, match: str = "tolerant") -> OptOutConfig:
    document = {"match": match, **starter_of(tags)}
    return config_of(OptOut.model_validate(document, extra="forbid"))


def answer(policy: Policy, body: str, country: str | None) -> tuple[str, str | None] | None:
    match = policy.match(body, country)
    return (match.kind, match.language) if match else None


def test_a_language_alone_is_its_pack() -> None:
    given = config("es")
    assert given == OptOutConfig(languages={"es": languages()["es"].pack})


@pytest.mark.parametrize("match", MatchMode)
def test_r9_all_54_packs_load_together(match: MatchMode) -> None:
    given = config(*languages(), match=match)
    assert problems_of(given) == []
    assert len(given.languages) == 54


def test_r9_any_two_packs_load_together() -> None:
    refused = [pair for pair in combinations(languages(), 2) if problems_of(config(*pair))]
    assert refused == []


def test_r9_a_word_of_several_languages_is_answered_in_the_one_of_the_country() -> None:
    policy = Policy(config("de", "nb", "sv"))
    assert answer(policy, "Stopp", "DE") == (STOP, "de")
    assert answer(policy, "Stopp", "CH") == (STOP, "de")
    assert answer(policy, "Stopp", "NO") == (STOP, "nb")
    assert answer(policy, "Stopp", "SE") == (STOP, "sv")
    assert answer(policy, "Stopp", "FR") is None
    assert answer(policy, "abmelden", "FR") == (STOP, "de")


def test_r9_no_word_of_a_pack_is_lost_in_the_countries_of_its_language() -> None:
    policy = Policy(config(*languages()))
    for tag, language in languages().items():
        main = countries_of(tag)[0]
        for kind, given in language.pack.items():
            for word in given.keywords:
                match = policy.match(word, main)
                assert match is not None, (tag, word)
                assert match.kind is kind, (tag, word)


def test_r11_a_starter_set_names_only_words_that_work_where_it_is_read() -> None:
    given = config(*languages())
    codes = {warning.code for warning in warnings_of(Reviewed(given))}
    assert not codes & {"no_way_back", "override_incomplete", "unaccented_missing", "hard_to_tell"}
    for tag, kinds in given.languages.items():
        stops = {word.upper() for word in (*kinds[STOP].keywords, "stop")}
        for kind in {START, HELP} & kinds.keys():
            assert any(word in kinds[kind].reply for word in stops), (tag, kind)


def test_r9_two_languages_of_one_country_share_its_override() -> None:
    override = starter_of(["ca", "pt", "es"])["countries"]["ES"]["languages"]
    assert list(override) == ["es", "ca"]
    assert override["es"]["STOP"]["keywords"][0] == "stop"
    assert "stop" not in override["ca"]["STOP"]["keywords"]
    assert override["ca"]["HELP"]["keywords"] == ["ajuda"]


def test_a_region_has_the_overrides_of_its_own_country() -> None:
    assert countries_of("es-MX") == ("MX",)
    assert countries_of("zh-Hant-TW") == ("TW",)
    assert countries_of("es-419") == countries_of("es")
    policy = Policy(config("es", "es-MX"))
    assert answer(policy, "baja", "MX") == (STOP, "es-MX")
    assert answer(policy, "baja", "AR") == (STOP, "es")


def printed(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["services", "starter", *arguments])
    return result.exit_code, result.output


def test_the_command_prints_a_set_that_check_accepts(tmp_path: Any) -> None:
    code, output = printed("German", "nb", "SV", "de")
    assert code == 0
    assert "# stopp: TellusTalk" in output
    parts = yaml.safe_load(output)
    assert list(parts["languages"]) == ["de", "nb", "sv"]
    service = {"account_sid": "AC1", "friendly_name": "North", "opt_out": parts}
    file = tmp_path / "services.yaml"
    file.write_text(yaml.safe_dump([service], allow_unicode=True), encoding="utf-8")
    checked = CliRunner().invoke(main, ["services", "check", str(file)])
    assert checked.exit_code == 0, checked.output
    assert ": 0 errors" in checked.output


def test_the_command_prints_every_pack_together() -> None:
    code, output = printed("--all")
    assert code == 0
    assert list(yaml.safe_load(output)["languages"]) == list(languages())


def test_the_command_names_every_unknown_language() -> None:
    code, output = printed("es", "Klingon", "xx")
    assert code == 1
    assert "no starter pack for 'Klingon', 'xx'" in output


def test_the_command_lists_all_without_a_language() -> None:
    code, output = printed()
    assert code == 0
    assert len(output.splitlines()) == 54
