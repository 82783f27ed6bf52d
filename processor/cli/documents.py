"""Read and check `services.yaml`; read `carriers.yaml`."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from typing import IO

import yaml

from processor.configuration.apply import Applied, apply
from processor.configuration.new_services import new_sid
from processor.errors import ConfigError, Problem
from schemas.messaging_service import MessagingService


class _Loader(yaml.CSafeLoader):
    """YAML in which `no`, `yes`, `on` and `12345` are the words they look like.

    YAML 1.1 would make Norway, an opt-in keyword and a short code into false, true and a number.
    """

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        """Refuse a mapping with a key twice: YAML would drop the first value silently."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value!r} appears twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"(?:true|false)\Z", "tf"),
    ("null", r"(?:null|~|)\Z", ["n", "~", ""]),
    ("merge", r"<<\Z", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def read_documents(file: IO[bytes]) -> Mapping[str, MessagingService]:
    """Read the services of a file by sid, as if no service were stored.

    Raises:
        ConfigError: with every problem and its place.
    """
    applied = lay_over(load(file), {})
    refuse(file, applied)
    return applied.changed


def load(file: IO[bytes], *, of: str = "services") -> list[object]:
    """Read the documents of a file without checking them.

    Args:
        file: YAML.
        of: the subject of its documents.

    Raises:
        ConfigError: it is not a list of documents.
    """
    try:
        given = yaml.load(file, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([_of_file(file, "not_yaml", f"not YAML: {error}")]) from None
    if isinstance(given, dict):
        given = [given]
    if not isinstance(given, list) or not given:
        text = f"must be a list of {of}, one document each"
        raise ConfigError([_of_file(file, "not_a_list", text)])
    return given


def _of_file(file: IO[bytes], code: str, text: str) -> Problem:
    return Problem((), code, text, where=(file.name,))


def lay_over(
    documents: list[object],
    stored: Mapping[str, MessagingService],
    recorded: Callable[[str], str | None] = lambda address: None,
) -> Applied:
    """Work out how documents change the stored services, or the problems that forbid it.

    Args:
        documents: not checked yet.
        stored: every service, by sid.
        recorded: finds the account that has recorded a number.
    """
    return apply(
        documents,
        stored,
        now=datetime.now(UTC),
        new_sid=new_sid,
        recorded=recorded,
    )


def refuse(file: IO[bytes], applied: Applied) -> None:
    """Raise ``ConfigError`` with every problem and its place, if there is any."""
    if applied.problems:
        raise ConfigError([problem.within(file.name) for problem in applied.problems])
