"""Warnings to read before a configuration comes into force; none refuses it (R11)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from processor.configuration.policy_warnings import policy_warnings
from processor.configuration.reply_warnings import reply_warnings
from processor.configuration.reviewed import Reviewed
from processor.configuration.sender_warnings import OTHERWISE_REGISTERED, sender_warnings
from processor.configuration.word_warnings import word_warnings
from processor.errors import Problem

_GUIDE = "Twilio, Advanced Opt-Out"
_REVOCATION = "47 CFR 64.1200(a)(10)"
_CONFIRMATION = "47 CFR 64.1200(a)(12)"
_CANADA = "Twilio 223181928, Canadian short codes"

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        # replies
        "email_address": _GUIDE,
        "phone_number": _GUIDE,
        "card_number": _GUIDE,
        "placeholder": _GUIDE,
        "marketing": _CONFIRMATION,
        "link": _CONFIRMATION,
        "no_way_back": _GUIDE,
        "no_brand": "Twilio error 30531; CTIA Messaging Principles",
        "no_contact": "Twilio error 30531; Twilio 223182208, short codes",
        "canadian_length": _CANADA,
        "network_answers": _GUIDE,
        "network_needs_start": _GUIDE,
        # words
        "lawful_words_missing": _REVOCATION,
        "yes_always": "",
        "everyday_word": "",
        "doubtful_word": "",
        "unaccented_missing": "",
        "emoji_spelling": "",
        "reserved_left_out": _GUIDE,
        "override_incomplete": _GUIDE,
        "hard_to_tell": "",
        # senders
        OTHERWISE_REGISTERED: _GUIDE,
        "silent_help_when_blocked": "Twilio 223182208, short codes",
        "silent_stop_when_blocked": "Twilio 223182208, short codes",
        "canadian_words_missing": _CANADA,
        "one_way_pool": _REVOCATION,
        "default_handling": "Twilio error 30531; CTIA Messaging Principles",
        # policies
        "phrases_off": _REVOCATION,
        "suspected_off": _REVOCATION,
        "overdue_kept": _REVOCATION,
    }
)
"""The code of every warning, with the law, rule or page that asks for it ("" if it is ours)."""


def warnings_of(service: Reviewed) -> list[Problem]:
    """Everything to look at, by its place in the service's document."""
    found = (
        *reply_warnings(service),
        *word_warnings(service),
        *sender_warnings(service),
        *policy_warnings(service),
    )
    return [Problem(place, code, text, source=SOURCES[code]) for place, code, text in found]
