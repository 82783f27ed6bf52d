"""`optout settings`: the page of every setting, `deploy/settings.md`, made from `config.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import click

import processor
from processor.config import Settings

FILE = Path(processor.__file__).parent.parent / "deploy" / "settings.md"

_GROUPS = {  # the first setting of each, in the order of config.py
    "kafka_bootstrap": "Kafka",
    "redis_url": "Redis",
    "topic_prefix": "Topics and workers",
    "webhook_attempts": "Webhooks",
    "operator_tokens": "Secrets",
    "api_host": "The API",
    "carriers_host": "Carriers",
    "account_services": "Limits of an account",
    "web_host": "The worker's pages and pace",
}
_HEAD = """\
# Settings

`optout settings` makes this page from [config.py](../processor/config.py): edit that file, then run
`optout settings > deploy/settings.md`. A test fails if the page is out of date.

Settings are environment variables. A process reads them once, at start. It names every wrong one
and exits with 2. Items of a list are separated by commas. The end of a name is the unit: `_S` is
seconds, `_MS` milliseconds.
"""
_LIMITS = """
These hold for every account unless `optout accounts limits` gives the account its own.
"""
_TEXTS = {"password": "secret", "ipv4network": "networks"}
_Shape = TypedDict(  # the part of a JSON schema that is read
    "_Shape",
    {
        "$ref": str,
        "anyOf": "list[_Shape]",
        "default": object,
        "enum": list[str],
        "exclusiveMinimum": float,
        "format": str,
        "items": "_Shape",
        "maximum": float,
        "minimum": float,
        "type": str,
    },
    total=False,
)
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"))


@click.command("settings")
@click.option("--check", is_flag=True, help="Print nothing; exit 1 if the page is out of date.")
def command(check: bool) -> None:
    """Print every setting with its default, its values and its meaning, as Markdown.

    Example: optout settings --check
    """
    if not check:
        click.echo(page(), nl=False)
    elif not FILE.exists() or FILE.read_text("utf-8") != page():
        click.echo(f"{FILE.name} is out of date: run `optout settings > {FILE}`", err=True)
        sys.exit(1)


def page() -> str:
    """The whole page, as `deploy/settings.md` holds it."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    schema = Settings.model_json_schema()
    shared = schema["$defs"]
    yield _HEAD.rstrip("\n")
    for name, shape in schema["properties"].items():
        if group := _GROUPS.get(name):
            yield f"\n## {group}"
            yield _LIMITS if group == "Limits of an account" else ""
            yield "| setting | default | values | meaning |"
            yield "|---|---|---|---|"
        meaning = " ".join((Settings.model_fields[name].description or "").split())
        values = _values(_any_of(shape | _referred(shape, shared)))
        yield f"| `OPTOUT_{name.upper()}` | {_default(name, shape)} | {values} | {meaning} |"
    yield ""


def _referred(shape: _Shape, shared: Mapping[str, _Shape]) -> _Shape:
    """The shape that another one refers to, or nothing."""
    _, _, name = shape.get("$ref", "").rpartition("/")
    return shared.get(name, {})


def _any_of(shape: _Shape) -> _Shape:
    """The first alternative of a shape; the shape itself if it has none."""
    return shape.get("anyOf", [shape])[0]


def _default(name: str, shape: _Shape) -> str:
    value = shape["default"]
    if value is None or value == []:
        return "not set"
    if isinstance(value, list):
        return f"`{','.join(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:.10g}`"
    size = _size(value) if isinstance(value, int) and name.endswith("_bytes") else ""
    return f"`{value}`{size}"


def _size(count: int) -> str:
    return next((f" ({count // unit} {word})" for unit, word in _SIZES if count >= unit), "")


def _values(shape: _Shape) -> str:
    """Which values a setting takes, in words."""
    if "items" in shape:
        return f"list of {_values(_any_of(shape['items']))}"
    if "enum" in shape:
        return ", ".join(f"`{each}`" for each in shape["enum"])
    match shape["type"]:
        case "integer" | "number" as kind:
            return ", ".join((kind, *_bounds(shape)))
        case "boolean":
            return "`true`, `false`"
        case _:
            return _TEXTS.get(shape.get("format", ""), "text")


def _bounds(shape: _Shape) -> Iterator[str]:
    least, above = shape.get("minimum"), shape.get("exclusiveMinimum")
    most = shape.get("maximum")
    if least is not None and most is not None:
        yield f"{least} to {most}"
        return
    for word, bound in (("at least", least), ("above", above), ("at most", most)):
        if bound is not None:
            yield f"{word} {bound}"
