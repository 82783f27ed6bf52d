"""The words and replies of R3 and R7, as the checker knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Fields: TypeAlias = Mapping[str, Any]  # of a configuration, as a service's record has it

RESERVED = {"STOP": ("stop",), "START": ("start", "unstop"), "HELP": ("help",)}
STANDARD: Mapping[str, tuple[Sequence[str], str]] = {
    "STOP": (
        ("stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"),
        "You have successfully been unsubscribed. You will not receive any more messages from this"
        " number. Reply START to resubscribe.",
    ),
    "START": (
        ("start", "yes", "unstop"),
        "You have successfully been re-subscribed to messages from this number. Reply HELP for"
        " help. Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    ),
    "HELP": (("help", "info"), "Reply STOP to unsubscribe. Msg&Data Rates May Apply."),
}


def _buttons(language: str, **words: Sequence[str]) -> Fields:
    sets = {kind: {"keywords": own, "reply": STANDARD[kind][1]} for kind, own in words.items()}
    return {"languages": {language: sets}}


BUTTONS: Fields = {
    "countries": {
        "BR": _buttons("pt", STOP=("parar",), START=("começar", "comecar")),
        "ES": _buttons("es", STOP=("baja",), START=("alta",)),
        "FR": _buttons("fr", START=("démarrer", "demarrer")),
        "MX": _buttons("es", STOP=("baja",), START=("alta",)),
    }
}
"""The words of the buttons of RCS chats; they match exactly (R3)."""
