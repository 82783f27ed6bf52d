"""The world of a chaos run: two accounts with the same names but different keywords.

Services, senders and ids have the same names in both accounts. The same word may be an opt-out in
one account and an opt-in in the other. The second model relies on these hand-written tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from processor.configuration.apply import apply
from schemas.messaging_service import MessagingService

ONE, OTHER = "AC00000000000000000000000000000001", "AC00000000000000000000000000000002"
ACCOUNTS = (ONE, OTHER)
TOKENS = {ONE: "the token of one account", OTHER: "the token of the other"}

LONG_CODE = "+15551234567"  # of the clinic
WHATSAPP = "whatsapp:+15551234567"  # of the clinic, too
SHOP = "+15552223333"
SHOP_TOLL_FREE = "+18885550100"
GHOST = "+15554445555"  # of a service whose application is absent
FREE_CODE = "+15553334444"  # in no service
TOLL_FREE = "+18005550100"  # in no service
SENDERS = {
    LONG_CODE: 6,
    WHATSAPP: 2,
    SHOP: 4,
    SHOP_TOLL_FREE: 2,
    GHOST: 1,
    FREE_CODE: 4,
    TOLL_FREE: 3,
}  # with their frequencies

# Senders with a carrier; the messages of the others are left to other programs.
CARRIED: Mapping[str, tuple[str, ...]] = {ONE: (LONG_CODE, SHOP), OTHER: (FREE_CODE,)}

# Settings of the installation: webhooks are retried soon, and given up within a minute.
SETTINGS: Mapping[str, Any] = {
    "secret_keys": "5eed" * 16,
    "webhook_allow_networks": "127.0.0.0/8",
    "webhook_timeout_s": 2.0,
    "webhook_attempts": 8,
    "webhook_first_delay_s": 0.5,
    "webhook_longest_delay_s": 2.0,
    "webhook_circuit_s": 2.0,
    "carrier_timeout_s": 2.0,
    "carrier_attempts": 100,  # the carrier takes everything in the end
    "carrier_first_delay_s": 0.5,
    "carrier_longest_delay_s": 4.0,
}
SCOPES = ("account", "service", "sender")


def scope_of(seed: int) -> str:
    """The scope of blocks by keyword in a seed's run: three successive seeds have all three."""
    return SCOPES[seed % len(SCOPES)]


def environment(scope: str) -> dict[str, str]:
    """The settings as a worker's environment."""
    given = {**SETTINGS, "block_scope": scope}
    return {f"OPTOUT_{name.upper()}": str(value) for name, value in given.items()}


Word = tuple[str, str | None]  # the kind of a keyword, and the language of its set


@dataclass(frozen=True, slots=True)
class Way:
    """How an account interprets texts to one of its senders."""

    service: str | None = None
    aoo: bool = False
    words: Mapping[str, Word] = field(default_factory=dict)  # of every text in BODIES
    replies: Mapping[Word, str] = field(default_factory=dict)  # besides the usual replies
    yes_only_when_blocked: bool = False
    repeats_reply: bool = False
    help_when_blocked: frozenset[str] = frozenset()  # senders
    inbound: str | None = None  # path of its messages' application
    status: str | None = None

    def word(self, body: str) -> Word | None:
        """The keyword that a text is."""
        return self.words.get(body.strip(" "))

    def other(self, body: str) -> str | None:
        """The tier of a text that asks for an end although it is not a keyword here (R30)."""
        return None if self.word(body) else OTHER_WORDS.get(body.strip(" "))

    def reply(self, word: Word) -> str:
        """The reply to a keyword."""
        return self.replies.get(word) or USUAL_REPLIES[word[0]]


USUAL_REPLIES = {
    "STOP": "You have successfully been unsubscribed. You will not receive any more messages from"
    " this number. Reply START to resubscribe.",
    "START": "You have successfully been re-subscribed to messages from this number. Reply HELP for"
    " help. Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    "HELP": "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
}
# Default handling, as Twilio's guide describes it.
USUAL: Mapping[str, Word] = {
    **dict.fromkeys(("STOP", "stop", "Stop!", "unsubscribe", "Cancel", "opt out"), ("STOP", None)),
    **dict.fromkeys(("START", "unstop", "Yes"), ("START", None)),
    **dict.fromkeys(("HELP", "info"), ("HELP", None)),
}
_RESERVED: Mapping[str, Word] = {
    **dict.fromkeys(("STOP", "stop"), ("STOP", None)),
    **dict.fromkeys(("START", "unstop"), ("START", None)),
    "HELP": ("HELP", None),
}
LONGEST = "please take me off your list today"  # 34 characters, the limit of a keyword
_CLINIC_OF_ONE: Mapping[str, Word] = {
    **_RESERVED,
    **dict.fromkeys(("Stop!", "halt", "Halt.", LONGEST, f"{LONGEST}!"), ("STOP", None)),
    "Yes": ("START", None),
    "info": ("HELP", None),
    **dict.fromkeys(("baja", "BAJÁ!"), ("STOP", "es")),
    **dict.fromkeys(("alta", "Alta!"), ("START", "es")),  # not "Altá": consent is never guessed
    "Ayuda!": ("HELP", "es"),
}
_CLINIC_OF_OTHER: Mapping[str, Word] = {
    **_RESERVED,  # exact, so not "Stop!"
    "fin": ("STOP", None),
    "halt": ("START", None),  # an opt-out in the other account
    "sos": ("HELP", None),
}
_SHOP_OF_OTHER: Mapping[str, Word] = {
    **_RESERVED,  # without the other usual words, as the country has its own
    "Stop!": ("STOP", None),
    **dict.fromkeys(("ARRÊT", "arret."), ("STOP", "fr")),
    "retour": ("START", "fr"),
}
ORDINARY = ("see you at ten", "STOP?", "Stop please", "yes I will", "👍", "stop it now", "Altá")
# All recipients are in the US: a phrase blocks, a suspected text is reported.
OTHER_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("Stop please", "stop it now", "Stop!"), "phrase"),
    **dict.fromkeys((LONGEST, f"{LONGEST}!"), "phrase"),
    **dict.fromkeys(("unsubscribe", "opt out", "halt", "Halt.", "fin"), "suspected"),
    **dict.fromkeys(("baja", "BAJÁ!", "ARRÊT", "arret."), "suspected"),
}
BODIES = tuple(
    dict.fromkeys((*USUAL, *_CLINIC_OF_ONE, *_CLINIC_OF_OTHER, *_SHOP_OF_OTHER, *ORDINARY))
)

# As many keywords as a list may have, and the longest reply.
_MOST_WORDS = ["halt", LONGEST, *(f"halt {number}" for number in range(18))]
_LONGEST_REPLY = f"{'One clinic: you are out. START undoes it.':.<320}"
_STANDARD = {
    ONE: {"STOP": {"keywords": _MOST_WORDS, "reply": _LONGEST_REPLY}},
    OTHER: {
        "STOP": {"keywords": ["fin"], "reply": "The other's clinic: out. START undoes it."},
        "START": {"keywords": ["halt", "back"], "reply": "The other's clinic: you are back."},
        "HELP": {"keywords": ["sos"], "reply": "The other's clinic: STOP ends it."},
    },
}
_SPANISH = {
    "STOP": {"keywords": ["baja"], "reply": "No recibirá más avisos. Responda ALTA para volver."},
    "START": {"keywords": ["alta"], "reply": "Volverá a recibir avisos. BAJA los termina."},
    "HELP": {"keywords": ["ayuda"], "reply": "Avisos de la clínica. BAJA los termina."},
}
_FRENCH = {
    "STOP": {"keywords": ["arret"], "reply": "Plus de messages. Répondez RETOUR pour revenir."},
    "START": {"keywords": ["retour"], "reply": "Vous revoilà. Répondez ARRET pour en sortir."},
}


def _replies(sets: Mapping[str, Mapping[str, Any]], language: str | None) -> dict[Word, str]:
    return {(kind, language): str(given["reply"]) for kind, given in sets.items()}


def service_sid(account: str, name: str) -> str:
    """The sid of an account's service; it differs from the other account's in one digit."""
    return f"MG{name.encode().hex():0>31}{account[-1]}"


def _path(account: str, name: str, what: str) -> str:
    return f"/{account}/{name}/{what}"


def _clinic(account: str) -> Way:
    common: dict[str, Any] = {
        "service": service_sid(account, "Clinic"),
        "aoo": True,
        "inbound": _path(account, "Clinic", "inbound"),
        "status": _path(account, "Clinic", "status"),
    }
    if account == ONE:
        replies = {**_replies(_STANDARD[ONE], None), **_replies(_SPANISH, "es")}
        return Way(
            words=_CLINIC_OF_ONE,
            replies=replies,
            yes_only_when_blocked=True,
            help_when_blocked=frozenset({WHATSAPP}),
            **common,
        )
    replies = _replies(_STANDARD[OTHER], None)
    return Way(words=_CLINIC_OF_OTHER, replies=replies, repeats_reply=True, **common)


def _shop(account: str) -> Way:
    common: dict[str, Any] = {
        "service": service_sid(account, "Shop"),
        "inbound": _path(account, "Shop", "inbound"),
    }
    if account == ONE:  # its configuration is a draft
        return Way(words=USUAL, **common)
    return Way(words=_SHOP_OF_OTHER, replies=_replies(_FRENCH, "fr"), aoo=True, **common)


def _ghost(account: str) -> Way:
    sid, inbound = service_sid(account, "Ghost"), _path(account, "Ghost", "inbound")
    return Way(service=sid, words=USUAL, inbound=inbound)


_NO_SERVICE = Way(words=USUAL)
WAYS: Mapping[tuple[str, str], Way] = {
    (account, sender): way
    for account in ACCOUNTS
    for senders, way in (
        ((LONG_CODE, WHATSAPP), _clinic(account)),
        ((SHOP, SHOP_TOLL_FREE), _shop(account)),
        ((GHOST,), _ghost(account)),
        ((FREE_CODE, TOLL_FREE), _NO_SERVICE),
    )
    for sender in senders
}
STATUS_PATHS = {
    (account, way.service): way.status for (account, _), way in WAYS.items() if way.status
}


def way(account: str, sender: str) -> Way:
    """How an account interprets texts to a sender; an unknown sender is in no service."""
    return WAYS.get((account, sender), _NO_SERVICE)


def path_of(url: str) -> str:
    """The path of the expected request; a fallback's is that of the original request."""
    return urlsplit(url).path.replace("/fallback", "/inbound")


def services(base: str, nowhere: str) -> list[MessagingService]:
    """The services as they are stored.

    Both accounts have each sender. Older installations stored that without checking who owns a
    number, and never remove it.

    Args:
        base: the applications' address, such as ``http://127.0.0.1:4000``.
        nowhere: an address at which no server answers.
    """
    found: list[MessagingService] = []
    for account in ACCOUNTS:
        its = [one for one in documents(base, nowhere) if one["account_sid"] == account]
        applied = apply(its, {}, now=datetime.now(UTC), new_sid=str)
        assert not applied.problems
        found += applied.changed.values()
    return found


def documents(base: str, nowhere: str) -> list[dict[str, Any]]:
    """The input of `optout services apply`, for one account at a time.

    Args:
        base: the applications' address, such as ``http://127.0.0.1:4000``.
        nowhere: an address at which no server answers.
    """

    def service(account: str, name: str, *senders: str, **more: Any) -> dict[str, Any]:
        return {
            "sid": service_sid(account, name),
            "account_sid": account,
            "friendly_name": name,
            "senders": [{"address": sender} for sender in senders],
            "inbound_request_url": base + _path(account, name, "inbound"),
        } | more

    def clinic(account: str, opt_out: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        opt_out = {"enabled": True, "standard": _STANDARD[account], **opt_out}
        status = base + _path(account, "Clinic", "status")
        return service(
            account,
            "Clinic",
            *(LONG_CODE, WHATSAPP),
            status_callback=status,
            opt_out=opt_out,
            **more,
        )

    few_tries = base + _path(OTHER, "Clinic", "inbound") + "#rc=2&rp=5xx"
    return [
        clinic(
            ONE,
            {
                "languages": {"es": _SPANISH},
                "yes_only_when_blocked": True,
                "help_when_blocked": ["whatsapp"],
            },
        ),
        clinic(
            OTHER,
            {"match": "exact", "repeat_reply": "always"},
            inbound_request_url=few_tries,
            fallback_url=base + _path(OTHER, "Clinic", "fallback"),
        ),
        service(
            ONE,
            "Shop",
            *(SHOP, SHOP_TOLL_FREE),
            inbound_method="GET",
            opt_out={"enabled": False, "standard": _STANDARD[ONE]},
        ),
        service(
            OTHER,
            "Shop",
            *(SHOP, SHOP_TOLL_FREE),
            opt_out={
                "enabled": True,
                "countries": {"US": {"country_fallback": False, "languages": {"fr": _FRENCH}}},
            },
        ),
        service(
            ONE, "Ghost", GHOST, inbound_request_url=nowhere + _path(ONE, "Ghost", "inbound#rc=1")
        ),
        service(OTHER, "Ghost", GHOST),
    ]
