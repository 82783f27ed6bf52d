"""Persons with a number and a WhatsApp user id in the made-up traffic (R32)."""

from __future__ import annotations

_NUMBERS = "+1553"  # of persons only
COUNT = 40


def number_of(index: int) -> str:
    """The number of a person."""
    return f"{_NUMBERS}{index:07d}"


def is_person(number: str) -> bool:
    """Whether a number's owner has a user id, too."""
    return number.startswith(_NUMBERS)


def id_of_person(number: str) -> str:
    """The user id of a person."""
    return f"US.{number[1:]}"


def person_of(subscriber: str) -> str:
    """The number of a subscriber, who may be named by the user id."""
    return f"+{subscriber[3:]}" if subscriber.startswith("US.") else subscriber
