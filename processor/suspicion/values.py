"""The result of reading a text for a request to stop (R30)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

StopWords = Mapping[str, frozenset[str]]
"""STOP keywords in force, as configured, each with its languages; standard words have none."""


class SuspicionTier(StrEnum):
    """How sure it is that a text asks for an end, the surer first (R30)."""

    PHRASE = "phrase"
    SUSPECTED = "suspected"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A text that asks for an end although it is not a keyword."""

    tier: SuspicionTier
    score: float  # 0 to 1; of a phrase 1
    reasons: tuple[str, ...]  # codes and words of our own, never the text itself
