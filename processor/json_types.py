"""Names for parsed JSON, whose shape only the reader knows."""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = Any
"""The result of a JSON parser: a dict, a list, a text, a number, a bool or None."""

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object; also the fields of a model, or of a page, by name."""

Options: TypeAlias = dict[str, Any]
"""Keyword arguments of a library's."""
