"""`deploy/settings.md` is what `optout settings` generates from config.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from processor.cli import main, settings
from processor.config import Settings


def test_the_page_is_current() -> None:
    assert settings.FILE.read_text("utf-8") == settings.page(), (
        "run `optout settings > deploy/settings.md`"
    )


def test_the_page_has_a_line_for_every_setting() -> None:
    rows = [line for line in settings.page().splitlines() if line.startswith("| `OPTOUT_")]
    assert len(rows) == len(Settings.model_fields)


def test_every_setting_says_what_it_means() -> None:
    assert {name for name, field in Settings.model_fields.items() if not field.description} == set()


@pytest.mark.parametrize(
    "row",
    [
        "| `OPTOUT_REDIS_TIMEOUT_S` | `2` | number, above 0, at most 60 |",
        "| `OPTOUT_ROLES` | `match,gate,webhooks,carriers,rates` | list of `match`, `gate`,",
        "| `OPTOUT_TRUSTED_PROXIES` | not set | list of networks |",
        "| `OPTOUT_SECRET_KEYS` | not set | secret |",
        "| `OPTOUT_FETCH_BYTES` | `1048576` (1 MiB) | integer, at least 65536 |",
        "| `OPTOUT_API_REFUSE_BLOCKED` | `true` | `true`, `false` |",
        "| `OPTOUT_BLOCK_SCOPE` | `account` | `account`, `service`, `sender` |",
    ],
)
def test_a_line_has_default_and_values(row: str) -> None:
    assert f"\n{row}" in settings.page()


def test_check_is_content_with_the_page_as_it_is() -> None:
    result = CliRunner().invoke(main, ["settings", "--check"])
    assert (result.exit_code, result.output) == (0, "")


def test_check_names_the_command_that_mends_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "settings.md"
    page.write_text("# Settings\n")
    monkeypatch.setattr(settings, "FILE", page)
    result = CliRunner().invoke(main, ["settings", "--check"])
    assert result.exit_code == 1
    assert f"run `optout settings > {page}`" in result.output
