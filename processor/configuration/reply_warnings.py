"""Warnings about replies: personal data, marketing, and what the law wants in them (R11)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from processor.configuration.reviewed import STANDARD, Found, Given, Layer, Reviewed
from processor.core.messages import OptOutType, SenderType
from processor.core.normalise import exact
from processor.core.toll_free import NETWORK_COUNTRIES

STOP, START, HELP = OptOutType
CANADIAN_LIMIT = 160  # characters of a Canadian short code's replies
_COME_BACK = frozenset({"start", "unstop"})  # the only words that undo a toll-free network's block

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")
_PHONE = re.compile(r"(?<![\w+])\+?\d[\d\s().-]{6,}\d(?!\w)")
_PLACEHOLDER = re.compile(r"\{\{?\s*\w+\s*\}?\}|<\w+>|\[\w+\]|%\w+%|\$\{?[^\W\d]\w*\}?")
_TOLL_FREE = re.compile(
    r"(?<!\d)(?:\+?1[ .-]?)?\(?8(?:00|33|44|55|66|77|88)\)?[ .-]?[0-9A-Z]{3}[ .-]?[0-9A-Z]{4}(?!\d)"
)
_TOP_DOMAINS = "com|net|org|info|biz|io|co|us|ca|app|shop|store|health|care|clinic|edu|gov|example"
_LINK = re.compile(
    r"https?://\S+|\bwww\.\S+"
    rf"|(?<![@\w.-])(?:[a-z0-9-]+\.)+(?:(?:{_TOP_DOMAINS})\b(?!\.\w)|[a-z]{{2}}/)",
    re.IGNORECASE,
)
_MARKETING = re.compile(
    r"\d\s?%|[$€£¥]\s?\d"
    r"|\b(?:discounts?|coupons?|vouchers?|promo codes?|special offers?|free shipping|limited time"
    r"|(?:shop|buy|order) now|on sale|descuentos?|cup[oó]n(?:es)?|rebajas|oferta especial"
    r"|remise|soldes|code promo|offre spéciale|rabatt|gutschein|sonderangebot|descontos?|cupom"
    r"|sconti?|saldi|korting|aanbieding)\b",
    re.IGNORECASE,
)


def reply_warnings(service: Reviewed) -> Iterator[Found]:
    """Everything to look at in the replies."""
    for given in service.written:
        for code, text in _content(given, service):
            yield (*given.place, "reply"), code, text
    for layer in service.layers:
        yield from _way_back(layer)
    if service.has(SenderType.TOLL_FREE):
        yield from _toll_free(service)
    if service.north_american:
        yield from _brand_and_contact(service)
    if service.has(SenderType.SHORT_CODE, "CA"):
        yield from _canadian_length(service)


def _content(given: Given, service: Reviewed) -> Iterator[tuple[str, str]]:
    reply = given.reply
    numbers = _PHONE.findall(reply)
    if given.kind is not HELP:  # HELP must have a contact
        yield from _personal(reply, numbers, service)
    if any(_looks_like_a_card(_digits(number)) for number in numbers):
        yield "card_number", "has digits like a card's; take them out: replies go to many people"
    if unknown := _PLACEHOLDER.search(reply):
        text = f"has {unknown[0]}, which nothing fills in; write the text itself, or use {{brand}}"
        yield "placeholder", f"{text} or {{help_contact}}"
    if given.kind is STOP:
        if found := _MARKETING.search(reply):
            yield "marketing", f"advertises ({found[0]!r}); a confirmation only confirms"
        if found := _LINK.search(reply):
            yield "link", f"has a link ({found[0]!r}); a confirmation only confirms, so take it out"


def _personal(reply: str, numbers: list[str], service: Reviewed) -> Iterator[tuple[str, str]]:
    contact = service.values.get("help_contact", "")  # public: not a person's data
    if {found for found in _EMAIL.findall(reply) if found not in contact}:
        yield "email_address", "has an e-mail address; take it out: the answer to HELP is its place"
    ours = {_digits(one.of_pool.address) for one in service.senders} | {_digits(contact)}
    foreign = [number for number in numbers if _digits(number) not in ours]
    if any(not _looks_like_a_card(_digits(number)) for number in foreign):
        text = "has a phone number that is not a sender of this service; check it, or take it out"
        yield "phone_number", text


def _way_back(layer: Layer) -> Iterator[Found]:
    stop = layer.kinds.get(STOP)
    if stop and not _words_of(stop.reply) & _start_keys(layer):
        text = "does not say how to come back; name an opt-in keyword, such as START"
        yield (*layer.place, "STOP", "reply"), "no_way_back", text


def _toll_free(service: Reviewed) -> Iterator[Found]:
    if service.only(SenderType.TOLL_FREE) and STOP in service.config.standard:
        text = (
            "never sent: every sender is toll-free, and their network sends its own reply to STOP;"
            " nothing needs to be changed"
        )
        yield (*STANDARD, "STOP", "reply"), "network_answers", text
    for layer in service.layers:
        written = layer.place != STANDARD or STOP in service.config.standard
        elsewhere = layer.country is not None and layer.country not in NETWORK_COUNTRIES
        stop = layer.kinds.get(STOP)
        if stop is None or elsewhere or not written:
            continue
        others = (_words_of(stop.reply) & _start_keys(layer)) - _COME_BACK
        if named := {word for word in others if word.upper() in stop.reply}:
            text = (
                f"asks people to come back with {_listed(named)}, but only START and UNSTOP lift"
                " a toll-free network's block; name START"
            )
            yield (*layer.place, "STOP", "reply"), "network_needs_start", text


def _brand_and_contact(service: Reviewed) -> Iterator[Found]:
    """The brand and the contact of US and Canadian senders, unless default handling answers."""
    if service.untouched:
        return
    brand = service.values.get("brand")
    for given in service.in_force:
        place = (*given.place, "reply")
        unseen = given.kind is STOP and service.only(SenderType.TOLL_FREE)
        if not unseen and (brand is None or exact(brand) not in exact(given.reply)):
            first = "write {brand} in it" if brand else "set `brand`, and write {brand} in it"
            yield (
                place,
                "no_brand",
                f"does not name the brand, as US and Canadian rules ask; {first}",
            )
        if given.kind is HELP and not _has_contact(given.reply):
            text = (
                "has no toll-free number, e-mail or web address, as US and Canadian rules ask;"
                " set `help_contact`, and write {help_contact} in it"
            )
            yield place, "no_contact", text


def _canadian_length(service: Reviewed) -> Iterator[Found]:
    for layer in service.layers:
        if layer.country not in (None, "CA"):
            continue
        for kind, given in layer.kinds.items():
            if len(given.reply) > CANADIAN_LIMIT:
                text = (
                    f"has {len(given.reply)} characters, and Canadian short codes may answer with"
                    f" {CANADIAN_LIMIT}; shorten it"
                )
                yield (*layer.place, kind.value, "reply"), "canadian_length", text


def _has_contact(reply: str) -> bool:
    return any(pattern.search(reply) for pattern in (_TOLL_FREE, _EMAIL, _LINK))


def _start_keys(layer: Layer) -> set[str]:
    return {
        exact(keyword)
        for sets in (layer.kinds, layer.base)
        if START in sets
        for keyword in sets[START].keywords
    }


def _words_of(reply: str) -> set[str]:
    letters = (letter if _is_of_a_word(letter) else " " for letter in reply)
    return {exact(word) for word in "".join(letters).split()}


def _is_of_a_word(character: str) -> bool:
    # Marks are the vowels of Hindi, Bengali, Tamil and Thai.
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def _listed(words: set[str]) -> str:
    return ", ".join(sorted(words))


def _looks_like_a_card(digits: str) -> bool:
    """Whether digits are as many as a card has, and its check digit is right (Luhn)."""
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0
