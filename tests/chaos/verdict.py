"""Compare the results of a run with the second model, account by account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from tests.chaos.application import Delivery
from tests.chaos.limits import BLOCKS
from tests.chaos.model import places_of, story_of
from tests.chaos.seen import At, Key, Seen, key_of
from tests.chaos.traffic import LAST, Written
from tests.chaos.world import STATUS_PATHS, way

_STORIES = ("changes", "replies", "notifications", "reports")
_WITHOUT_ORDER = ("notifications", "reports")  # they do not depend on commands
_SHOWN = 3


def deviations(seen: Seen, written: Mapping[str, Written], scope: str) -> tuple[list[str], int]:
    """The results that differ from the required results.

    Args:
        seen: all results.
        written: the records that the broker acknowledged, by id.
        scope: of blocks by keyword.

    Returns:
        Each deviation, and how many events were compared.
    """
    wrong = [*seen.at_fault, *_gone(seen, written), *_judged(seen)]
    over_limit = dict(seen.over_limit)
    due: set[Delivery] = set(_status_deliveries(seen))
    blocked: dict[Key, frozenset[str]] = {}
    lifts: set[At] = set()
    compared = 0
    for key in seen.messages.keys() | seen.commands.keys() | seen.changes.keys():
        messages = seen.messages.get(key, ())
        story = story_of(messages, seen.commands.get(key, ()), scope)
        due.update(story.deliveries)
        blocked[key] = story.blocked
        over_limit |= dict.fromkeys(story.put_aside, f"{BLOCKS} blocks")
        is_unsure = _is_unsure(seen, key)
        if is_unsure:
            lifts |= {command.at for command in seen.commands[key] if not command.blocked}
        for name in _STORIES:
            must, was = getattr(story, name), getattr(seen, name).get(key, [])
            if is_unsure:
                if name not in _WITHOUT_ORDER:
                    continue
                must, was = ([one[:3] for one in ones] for ones in (must, was))
            compared += len(must)
            if must != was:
                wrong.append(f"{name} of a recipient of {key.account}: {_difference(must, was)}")
    wrong += [
        f"{name} of a recipient of {key.account}, who never texted"
        for name in ("replies", "notifications", "reports")
        for key in getattr(seen, name).keys() - seen.messages.keys()
    ]
    wrong += _put_aside(seen, over_limit, lifts)
    wrong += _last_sends(seen, blocked)
    wrong += _webhooks(seen, due)
    wrong += _headers(seen)
    wrong += _of_people(seen)
    return wrong, compared + len(seen.sends) + len(over_limit) + len(due)


def _is_unsure(seen: Seen, key: Key) -> bool:
    """Whether there are both messages and commands, whose order is unknown."""
    return key in seen.messages and key in seen.commands


def _gone(seen: Seen, written: Mapping[str, Written]) -> Iterable[str]:
    for one in written.values():
        topic = next(name for name in _INPUTS if one.record.topic.endswith(name))
        if one.readable and one.id not in seen.written.get(topic, ()):
            yield f"{one.id} ({one.codec}) was written to {topic} and is gone"


_RECIPIENTS_OWN = "the recipient made this block"
_INPUTS = ("inbound-messages.v1", "consent-commands.v1", "outbound-messages.v1")


def _put_aside(seen: Seen, over_limit: Mapping[At, str], lifts: Set[At]) -> Iterable[str]:
    """Exactly the records over a limit are refused, with a reason that says so.

    Commands give no reason, so they may not lift a block that the recipient made (R29).
    """
    for at, must in over_limit.items():
        place, reason = f"{at.topic}[{at.partition}]@{at.offset}", seen.letters.get(at)
        if reason is None:
            yield f"{place} is over a limit ({must or 'of a record'}) and was not put aside"
        elif not reason or must not in reason:
            yield f"{place} was put aside, and the reason does not name {must}"
    for at in seen.letters.keys() - over_limit.keys():
        if at in lifts and _RECIPIENTS_OWN in seen.letters[at]:
            continue
        yield f"{at.topic}[{at.partition}]@{at.offset} was put aside, and is within all limits"


def _judged(seen: Seen) -> Iterable[str]:
    """Each send has one verdict, and no account's block refuses a send of the other account."""
    for id_ in seen.sends - seen.allowed - seen.refused.keys():
        yield f"send {id_} has no verdict"
    for id_ in seen.allowed & seen.refused.keys():
        yield f"send {id_} was allowed and refused"
    for id_ in (seen.allowed | seen.refused.keys()) - seen.sends:
        yield f"send {id_} was judged, and is none that is to be"
    for id_, status in seen.refused.items():
        key = key_of(status, status["to"])
        if not any(blocked for _, _, _, blocked, _ in seen.changes.get(key, ())):
            yield f"send {id_} was refused, and its account never blocked its recipient"


def _of_people(seen: Seen) -> Iterable[str]:
    """Texts by a user id were sent on once, and sends to it are judged by what was visible."""
    for id_ in seen.to_send_on.keys() | seen.sent_on.keys():
        if seen.to_send_on[id_] != seen.sent_on[id_]:
            yield f"text {id_} was to be sent on {seen.to_send_on[id_]} times"
    for id_, after in seen.after.items():
        marks = seen.judged_at.get(id_)
        if after > (0, 0) and marks is not None and not any(one >= after for one in marks.values()):
            yield f"send {id_} was judged without a change that its writer had seen (R25)"


def _last_sends(seen: Seen, blocked: Mapping[Key, frozenset[str]]) -> Iterable[str]:
    """The sends after all changes are refused exactly where there is a block."""
    for id_ in seen.allowed | seen.refused.keys():
        account, sid, sender, to = id_.split("/")
        key = key_of({"account_sid": account}, to)
        if not sid.startswith(LAST) or _is_unsure(seen, key):
            continue
        places = places_of(way(account, sender), sender)
        stopping = blocked.get(key, frozenset()).intersection(places)
        if bool(stopping) != (id_ in seen.refused):
            was = "refused" if id_ in seen.refused else "allowed"
            yield f"send {id_} was {was} in the end, where {sorted(stopping)} stop it"


def _status_deliveries(seen: Seen) -> Iterable[Delivery]:
    """The deliveries that applications must get for refused sends, and for what carriers did."""
    refused = ({**one, "status": "failed", "error_code": 21610} for one in seen.refused.values())
    for status in (*refused, *seen.statuses):
        account, sender = status["account_sid"], status["from"]
        named = status["messaging_service_sid"]
        path = STATUS_PATHS.get((account, named or way(account, sender or "").service))
        if path:
            yield Delivery(
                path,
                account,
                status["message_sid"],
                sender,
                status["to"],
                named,
                (status["status"], str(code) if (code := status["error_code"]) else None),
            )


def _webhooks(seen: Seen, due: set[Delivery]) -> Iterable[str]:
    """Every due delivery was made or dead-lettered, and no other was made."""
    for delivery in due:
        asked = seen.asked.get(delivery)
        if delivery not in seen.undelivered and not (asked and asked.answered):
            often = asked.count if asked else 0
            yield f"{_named(delivery)} is due, was tried {often} times and was not put aside"
    tokens: dict[str, Delivery] = {}
    for delivery, asked in seen.asked.items():
        if delivery.account != delivery.path.split("/")[1]:
            yield f"{_named(delivery)} went to the other account's application"
        elif delivery not in due:
            yield f"{_named(delivery)} was made and is not due"
        if asked.unsigned:
            yield f"{_named(delivery)} is not signed with its account's token"
        if len(asked.tokens) > 1:
            yield f"{_named(delivery)} was repeated with another token"
        for token in asked.tokens:
            if tokens.setdefault(token, delivery) != delivery:
                yield f"{_named(delivery)} has the token of {_named(tokens[token])}"
    for delivery in seen.undelivered - due:
        yield f"{_named(delivery)} was put aside and is not due"


def _named(delivery: Delivery) -> str:
    return f"webhook {delivery.path} of {delivery.account}'s {delivery.sid} ({delivery.said[1]})"


def _headers(seen: Seen) -> Iterable[str]:
    """The results of a record carry its headers, as far as there is room."""
    for (topic, id_), carries in seen.carries.items():
        if seen.carried.get(id_, hash(())) != carries:
            yield f"{topic}: {id_} carries other headers than what it comes of"


def _difference(must: Sequence[tuple[Any, ...]], was: Sequence[tuple[Any, ...]]) -> str:
    at = next(
        (index for index, pair in enumerate(zip(must, was, strict=False)) if pair[0] != pair[1]),
        min(len(must), len(was)),
    )
    return f"at {at}: {must[at:][:_SHOWN]} became {was[at:][:_SHOWN]}"
