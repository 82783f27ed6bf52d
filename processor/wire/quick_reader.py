"""A fast reader of a busy topic's values, which leaves whatever it is not sure of to the model."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter, call
from typing import Annotated, Any, Generic, TypeVar, cast

import msgspec
from msgspec.structs import astuple
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from processor.wire.json_values import is_address, is_number, is_sid, is_user_id
from schemas.common import Number, RecipientAddress, Sid, UserId, pattern_of

_T = TypeVar("_T")
_Model = TypeVar("_Model", bound=BaseModel)
_REFUSALS = (msgspec.MsgspecError, ValueError, RecursionError)  # of a quick decoder
_KNOWN_LIMIT = 100_000
_fields_of = cast(Callable[[object], tuple[object, ...]], astuple)  # structs pass for models


class Known(set[_T], Generic[_T]):
    """Values of a field that the model accepted; emptied when full.

    Few values are in most records. A plain set, as a batch asks ``issuperset``: in C, where a
    library's cache needs a call for each value.
    """

    def __init__(self, limit: int = _KNOWN_LIMIT) -> None:
        super().__init__()
        self._limit = limit

    def learn(self, value: _T) -> None:
        """Accept the value from now on."""
        if len(self) >= self._limit:
            self.clear()
        self.add(value)


@dataclass(frozen=True, slots=True)
class Rule(Generic[_T]):
    """The checks of a field that a quick reader adds to those of its decoder.

    A check that fails does not refuse the value: the model then reads it.
    """

    one: Callable[[_T], object]  # true only where the model would accept the value
    all: Callable[[Sequence[_T]], bool]  # the same of many values at once
    learn: Callable[[_T], None] | None = None  # called with values that the model accepted


def known(limit: int = _KNOWN_LIMIT) -> Rule[str | None]:
    """A field of few values, such as an account: sure once the model accepted the value.

    Each field has a set of its own, as its combinations with others would be many more.
    """
    accepted: Known[str | None] = Known(limit)
    return Rule(accepted.__contains__, accepted.issuperset, accepted.learn)


def known_or_number() -> Rule[str | None]:
    """One of our senders, where there is one: a number, or a value the model accepted."""
    accepted: Known[str | None] = Known()
    return Rule(
        lambda sender: sender in accepted or is_number(sender or ""),
        lambda senders: _are_numbers([one or "" for one in set(senders) - accepted]),
        accepted.learn,
    )


def one_by_one(check: Callable[[_T], object]) -> Rule[_T]:
    """A rule with no faster way for many values."""
    return Rule(check, lambda values: all(map(check, values)))


def _is_sure_time(time: datetime) -> bool:
    return 1970 < time.year < 9998


def _are_sids(texts: Sequence[str]) -> bool:
    joined = "".join(texts)
    if joined.isascii() and joined.encode().isalnum():  # most are, and this is much cheaper
        lengths = set(map(len, texts))
        return min(lengths) > 0 and max(lengths) <= 64
    return _match_sids(texts)


def _all_match(type_: object) -> Callable[[Collection[str]], bool]:
    """Whether all texts match a type's pattern, by one run over all of them."""
    matches = re.compile(rf"(?:{pattern_of(type_)[1:-1]}\n)*+").fullmatch

    def are_all(texts: Collection[str]) -> bool:
        lines = "\n".join((*texts, ""))
        return matches(lines) is not None and lines.count("\n") == len(texts)

    return are_all


_match_sids, _are_numbers = _all_match(Sid), _all_match(Number)
_are_user_ids = _all_match(UserId)
SID: Rule[str] = Rule(is_sid, _are_sids)
ADDRESS: Rule[str] = Rule(is_address, _all_match(RecipientAddress))
USER_ID: Rule[str | None] = Rule(
    lambda value: value is None or is_user_id(value),
    lambda values: _are_user_ids([one for one in values if one is not None]),
)
ABSENT: Rule[object] = Rule(
    lambda value: value is None, lambda values: values.count(None) == len(values)
)
TIME: Rule[datetime] = Rule(
    _is_sure_time, lambda times: all(1970 < year < 9998 for year in {one.year for one in times})
)


class QuickReader(Generic[_Model]):
    """Reads values of one model; a value that a rule is not sure of goes to the model.

    Args:
        model: of the topic.
        rules: by field, for the fields whose type alone does not say what the model accepts. The
            decoded structs begin with these fields, in this order.
    """

    def __init__(self, model: type[_Model], rules: Mapping[str, Rule[Any]]) -> None:
        self._model = model
        self._decode = _decoder(model, first=list(rules))
        self._checks = [rule.one for rule in rules.values()]
        self._rules = list(rules.values())
        self._learning = [
            (attrgetter(name), rule.learn) for name, rule in rules.items() if rule.learn
        ]

    def read(self, value: bytes) -> _Model:
        """Check a value whole; the returned object has the model's attributes.

        Raises:
            pydantic.ValidationError: the model refuses it.
        """
        try:
            if not value.isascii():
                value.decode()  # the decoder passes over the text of unknown fields
            quick = self._decode(value)
        except _REFUSALS:
            return self._read_slowly(value)
        if all(map(call, self._checks, _fields_of(quick))):
            return quick
        return self._read_slowly(value)

    def read_all(self, values: Sequence[bytes]) -> list[_Model]:
        """As ``read`` of each, in half the time; only records that are not sure are read again.

        Raises:
            pydantic.ValidationError: the model refuses one.
        """
        quick = self._decoded(values)
        if quick is None:
            return list(map(self.read, values))
        for index in self._unsure(quick):
            quick[index] = self.read(values[index])
        return quick

    def _decoded(self, values: Sequence[bytes]) -> list[_Model] | None:
        try:
            for value in values:
                if not value.isascii():
                    value.decode()
            return list(map(self._decode, values))
        except _REFUSALS:
            return None

    def _unsure(self, quick: Sequence[_Model]) -> list[int]:
        columns = zip(*map(_fields_of, quick), strict=True)
        unsure: set[int] = set()
        for rule, fields in zip(self._rules, columns, strict=False):
            if not rule.all(fields):
                unsure.update(i for i, field in enumerate(fields) if not rule.one(field))
        return sorted(unsure)

    def _read_slowly(self, value: bytes) -> _Model:
        model = self._model.model_validate_json(value)
        for field, learn in self._learning:
            learn(field(model))
        return model


def _decoder(model: type[_Model], *, first: Sequence[str]) -> Callable[[bytes], _Model]:
    """A decoder of a model's JSON into a struct with the model's attributes.

    Made from the model's own fields. It checks their types, longest length and numbers' bounds,
    not their patterns.

    Args:
        model: of the topic.
        first: fields that the struct begins with.

    Raises (the decoder):
        msgspec.MsgspecError, ValueError, RecursionError: the value is not of these types; the
            model may still accept it.
    """
    names = [*first, *(name for name in model.model_fields if name not in first)]
    fields = [_field(name, model.model_fields[name]) for name in names]
    made = msgspec.defstruct(model.__name__, fields, kw_only=True, gc=False)
    return cast(Callable[[bytes], _Model], msgspec.json.Decoder(made).decode)


def _field(name: str, info: FieldInfo) -> tuple[str, Any, Any]:
    kind: Any = info.annotation
    if kind is AwareDatetime:
        kind = Annotated[datetime, msgspec.Meta(tz=True)]
    for bound in info.metadata:
        if kind is str and getattr(bound, "max_length", None):
            kind = Annotated[str, msgspec.Meta(max_length=bound.max_length)]
        elif info.annotation is int:
            kind = Annotated[kind, msgspec.Meta(**dataclasses.asdict(bound))]
    default = msgspec.NODEFAULT if info.is_required() else info.default
    return name, kind, msgspec.field(default=default, name=info.alias)
