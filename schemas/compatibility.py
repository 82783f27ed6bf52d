"""Compatibility of two versions of a schema: a change may break released readers or writers.

Pure functions on JSON Schema as pydantic makes it. Unknown constructs count as breaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Schema = Mapping[str, Any]
Whom = Literal["readers", "writers"]

_SAYS_NOTHING = {"title", "description", "default", "examples", "$defs", "$schema", "$id"}
_AT_LEAST = ("minLength", "minimum", "minItems", "minProperties")
_AT_MOST = ("maxLength", "maximum", "maxItems", "maxProperties")
_ALTERNATIVES = ("anyOf", "oneOf")
_LOOKED_INTO = {"$ref", "type", "enum", "const", "required", "properties", "items"}
_OPEN_FIELDS = ("additionalProperties", "propertyNames")


@dataclass(frozen=True, slots=True)
class Break:
    """A reason why records of one version are not valid in the other."""

    whom: Whom  # readers or writers of the released version
    place: str
    why: str

    def __str__(self) -> str:
        return f"{self.place or 'the record'}: breaks {self.whom}: {self.why}"


def breaks(released: Schema, made: Schema) -> list[Break]:
    """Find breaks for released readers of new records (FORWARD) and new readers of old (BACKWARD).

    Args:
        released: the schema of the last release.
        made: the current schema.
    """
    return [
        *(Break("readers", place, why) for place, why in _Reading(made, released).refused()),
        *(Break("readers", place, "field removed") for place in _removed(released, made)),
        *(Break("writers", place, why) for place, why in _Reading(released, made).refused()),
    ]


def _removed(released: Schema, made: Schema) -> list[str]:
    gone = _fields(released) - _fields(made)
    return sorted(place for place in gone if place.rpartition(".")[0] not in gone)


def _fields(schema: Schema) -> set[str]:
    """Find the place of every field, through references, arrays and alternatives."""
    found: set[str] = set()

    def walk(node: Any, place: str, seen: tuple[str, ...]) -> None:
        if not isinstance(node, Mapping) or node.get("$ref") in seen:
            return
        if "$ref" in node:
            walk(_resolved(node, schema), place, (*seen, node["$ref"]))
        for name, field in node.get("properties", {}).items():
            found.add(_join(place, name))
            walk(field, _join(place, name), seen)
        for each in _alternatives(node):
            if each is not node:
                walk(each, place, seen)
        for name in ("items", "additionalProperties"):
            walk(node.get(name), _join(place, "*"), seen)
        for each in node.get("patternProperties", {}).values():
            walk(each, _join(place, "*"), seen)

    walk(schema, "", ())
    return found


class _Reading:
    """Records of one schema, read under another schema."""

    def __init__(self, written: Schema, read: Schema) -> None:
        self._written = written
        self._read = read
        self._under_way: list[tuple[str, str]] = []  # pairs of references, as a schema may recur

    def refused(self) -> list[tuple[str, str]]:
        """Yield the places at which a valid record may be refused, with reasons."""
        return list(self._node("", self._written, self._read))

    def _node(self, place: str, written: Schema, read: Schema) -> Iterator[tuple[str, str]]:
        pair = (written.get("$ref", ""), read.get("$ref", ""))
        if pair in self._under_way:
            return
        if all(pair):
            self._under_way.append(pair)
        yield from self._resolved_node(
            place, _resolved(written, self._written), _resolved(read, self._read)
        )
        if all(pair):
            self._under_way.pop()

    def _resolved_node(
        self, place: str, written: Schema, read: Schema
    ) -> Iterator[tuple[str, str]]:
        if any(name in each for name in _ALTERNATIVES for each in (written, read)):
            yield from self._alternatives(place, written, read)
            return
        yield from ((place, why) for why in _value(written, read))
        yield from self._object(place, written, read)
        if "items" in read:
            yield from self._node(_join(place, "*"), written.get("items", {}), read["items"])

    def _alternatives(self, place: str, written: Schema, read: Schema) -> Iterator[tuple[str, str]]:
        """Check that each written alternative is read."""
        taken = [_resolved(each, self._read) for each in _alternatives(read)]
        for each in _alternatives(written):
            one = _resolved(each, self._written)
            tried = [list(self._node(place, one, other)) for other in taken]
            if all(tried):
                alike = [
                    problems
                    for problems, other in zip(tried, taken, strict=True)
                    if other.get("type") == one.get("type")
                ]
                yield from alike[0] if alike else [(place, f"{_said(_types(one))} is not read")]

    def _object(self, place: str, written: Schema, read: Schema) -> Iterator[tuple[str, str]]:
        wrote, reads = written.get("properties", {}), read.get("properties", {})
        for name in sorted(set(read.get("required", ())) - set(written.get("required", ()))):
            yield _join(place, name), "required, and not always written"
        if read.get("additionalProperties") is False:
            yield from (
                (_join(place, name), "not read") for name in sorted(set(wrote) - set(reads))
            )
        for name in sorted(set(wrote) & set(reads)):
            yield from self._node(_join(place, name), wrote[name], reads[name])
        for name in _OPEN_FIELDS:
            yield from self._open(place, name, written.get(name), read.get(name))
        patterns = written.get("patternProperties", {}), read.get("patternProperties", {})
        if patterns[1] and set(patterns[0]) != set(patterns[1]):
            yield place, "the pattern of its fields' names changed"
        for pattern in set(patterns[0]) & set(patterns[1]):
            yield from self._node(_join(place, "*"), patterns[0][pattern], patterns[1][pattern])

    def _open(self, place: str, name: str, written: Any, read: Any) -> Iterator[tuple[str, str]]:
        if read in (None, True) or read is written:
            return
        if isinstance(written, Mapping) and isinstance(read, Mapping):
            yield from self._node(_join(place, "*"), written, read)
        else:
            yield place, f"{name} is narrower"


def _value(written: Schema, read: Schema) -> Iterator[str]:
    """Yield the reasons for which a plain value may be refused."""
    surplus = _types(written) - _types(read)
    if surplus and _types(read) and not (surplus == {"integer"} and "number" in _types(read)):
        yield f"type {_said(_types(written))} is not {_said(_types(read))}"
    elif not _types(written) and _types(read):
        yield f"any type is written, only {_said(_types(read))} is read"
    allowed, given = _values(read), _values(written)
    if allowed is not None and given is None:
        yield f"only {_said(allowed)} is read"
    elif allowed is not None and given is not None and set(given) - set(allowed):
        yield f"{_said(set(given) - set(allowed))} is not read"
    for name in _AT_LEAST:
        if name in read and read[name] > written.get(name, float("-inf")):
            yield f"{name} {written.get(name, 'open')} is written, {read[name]} read"
    for name in _AT_MOST:
        if name in read and read[name] < written.get(name, float("inf")):
            yield f"{name} {written.get(name, 'open')} is written, {read[name]} read"
    looked = {*_LOOKED_INTO, *_OPEN_FIELDS, "patternProperties", *_AT_LEAST, *_AT_MOST}
    for name in sorted(set(read) - looked - _SAYS_NOTHING):
        if read[name] != written.get(name) or "$ref" in str(read[name]):
            yield f"{name} changed"


def _alternatives(schema: Schema) -> Sequence[Schema]:
    return next((schema[name] for name in _ALTERNATIVES if name in schema), (schema,))


def _types(schema: Schema) -> set[str]:
    given = schema.get("type", ())
    return {given} if isinstance(given, str) else set(given)


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")


def _said(values: Any) -> str:
    return ", ".join(sorted(map(str, values))) or "nothing"


def _resolved(node: Schema, root: Schema) -> Schema:
    while "$ref" in node:
        node = root["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
