"""The limits of an account, and the numbers it may take."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from processor.config import load
from processor.configuration.edits import Edit, edit_of_account, edit_of_number, edit_of_service
from processor.configuration.quotas import Quota, excesses
from processor.errors import EditRefused
from processor.kafka.topics.configuration_writer import Configuration
from schemas.account import Account, AccountLimits, ApiKey
from schemas.messaging_service import MessagingService, PoolSender
from schemas.number import Number
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OTHER_ACCOUNT,
    OTHER_LONG_CODE,
    OTHER_SERVICE,
    SERVICE,
    SHORT_CODE,
)

AT = datetime(2026, 11, 2, tzinfo=UTC)
HASH = "scrypt$14$8$1$c2FsdA==$aGFzaA=="
NUMBER = "PN00000000000000000000000000000001"


def a_service(sid: str = SERVICE, *senders: str, **changes: Any) -> MessagingService:
    fields = {
        "sid": sid,
        "account_sid": ACCOUNT,
        "friendly_name": sid,
        "senders": [PoolSender(address=address) for address in senders],
        "version": 1,
        "created_at": AT,
        "updated_at": AT,
    }
    return MessagingService(**{**fields, **changes})


def a_number(address: str = LONG_CODE, **changes: Any) -> Number:
    fields = {
        "sid": NUMBER,
        "account_sid": ACCOUNT,
        "address": address,
        "type": "long_code",
        "friendly_name": address,
        "created_at": AT,
        "updated_at": AT,
    }
    return Number(**{**fields, **changes})


def an_account(keys: int = 0, **changes: Any) -> Account:
    fields = {
        "sid": ACCOUNT,
        "friendly_name": "Clinic",
        "token_hash": HASH,
        "sealed_token": "",
        "api_keys": [
            ApiKey(sid=f"SK{number:032}", friendly_name="k", secret_hash=HASH, created_at=AT)
            for number in range(keys)
        ],
        "created_at": AT,
        "updated_at": AT,
    }
    return Account(**{**fields, **changes})


def stored(*edits: Edit, **limits: int) -> Configuration:
    """The configuration after edits, as its followers hand them on."""
    made = Configuration(load(**{f"account_{name}": limit for name, limit in limits.items()}))
    for edit in edits:
        topic: Any = made._views[edit.kind].topic
        topic._take({edit.sid: topic._read_value(edit.value) if edit.value else None})
    return made


def created(*services: MessagingService) -> list[Edit]:
    return [edit_of_service(None, service) for service in services]


def refusal(made: Configuration, *edits: Edit) -> EditRefused:
    with pytest.raises(EditRefused) as refused:
        made.holdings.check(edits)
    return refused.value


def test_what_was_above_a_limit_may_stay_and_shrink_and_only_growth_is_an_excess() -> None:
    limits = {Quota.NUMBERS: 2}
    for before, after, wrong in [(3, 3, 0), (3, 2, 0), (4, 3, 0), (1, 2, 0), (2, 3, 1), (3, 4, 1)]:
        found = excesses({Quota.NUMBERS: before}, {Quota.NUMBERS: after}, limits)
        assert len(found) == wrong, (before, after)


def test_one_service_too_many_is_refused_with_twilios_code_the_use_the_limit_and_a_remedy() -> None:
    made = stored(*created(a_service()), services=1)
    refused = refusal(made, *created(a_service(OTHER_SERVICE)))
    assert (refused.code, refused.problems) == (
        30995,
        [
            "Too many messaging services: the account has 1, its limit is 1, and this would make 2."
            " Delete some, or ask the operator for a higher limit (optout accounts limits)"
        ],
    )
    # One for another is no growth.
    made.holdings.check([*created(a_service(OTHER_SERVICE)), edit_of_service(a_service(), None)])


def test_bytes_of_configuration_are_those_that_are_stored() -> None:
    small, large = a_service(), a_service(friendly_name="x" * 60)
    size = len(edit_of_service(None, small).value or b"")
    made = stored(*created(small), configuration_bytes=size)
    assert made.holdings.usage_of(ACCOUNT)[Quota.CONFIGURATION_BYTES] == size
    made.holdings.check([edit_of_service(small, small)])
    refused = refusal(made, edit_of_service(small, large))
    assert (refused.code, "bytes of configuration" in str(refused)) == (20001, True)
    # Another account has its own.
    made.holdings.check(created(a_service(OTHER_SERVICE, account_sid=OTHER_ACCOUNT)))
    gone = stored(*created(small), edit_of_service(small, None))
    assert gone.holdings.usage_of(ACCOUNT) == dict.fromkeys(gone.holdings.usage_of(ACCOUNT), 0)


def test_numbers_are_counted_once_wherever_they_stand_and_names_are_not() -> None:
    pool = a_service(SERVICE, LONG_CODE, "Clinic")
    made = stored(*created(pool), edit_of_number(None, a_number()), numbers=1)
    assert made.holdings.usage_of(ACCOUNT)[Quota.NUMBERS] == 1
    other = a_number(OTHER_LONG_CODE, sid="PN2")
    assert refusal(made, edit_of_number(None, other)).code == 20001
    assert "2" in str(
        refusal(made, edit_of_service(pool, a_service(SERVICE, LONG_CODE, SHORT_CODE)))
    )
    made.holdings.check([edit_of_service(pool, a_service(SERVICE, LONG_CODE, "Clinic", "Shop"))])
    # The number that is recorded stays with the account: one more is one too many.
    refusal(made, edit_of_service(pool, a_service(SERVICE, SHORT_CODE)))


def test_numbers_are_counted_as_they_come_and_go() -> None:
    shared = a_service(OTHER_SERVICE, LONG_CODE, SHORT_CODE)  # one pool too many, as it once was
    theirs = a_service("MG3", LONG_CODE, account_sid=OTHER_ACCOUNT)
    number = a_number(OTHER_LONG_CODE)
    edits = [
        *created(a_service(SERVICE, LONG_CODE, "Clinic")),
        *created(shared),
        *created(theirs),
        edit_of_number(None, a_number()),
        edit_of_number(a_number(), None),
        edit_of_number(None, number),
        edit_of_service(a_service(SERVICE, LONG_CODE), a_service(SERVICE)),
        edit_of_service(shared, None),
        edit_of_service(theirs, None),
        edit_of_number(number, None),
    ]
    counts = []
    for end in range(len(edits) + 1):
        holdings = stored(*edits[:end]).holdings
        for account in (ACCOUNT, OTHER_ACCOUNT):
            count = holdings.usage_of(account)[Quota.NUMBERS]
            assert count == len(holdings.numbers_of(account)), (end, account)
        counts.append(holdings.usage_of(ACCOUNT)[Quota.NUMBERS])
    assert counts == [0, 1, 2, 2, 2, 2, 3, 3, 1, 1, 0]


def test_an_account_has_its_own_limits_where_it_has_some() -> None:
    account = an_account(keys=2, limits=AccountLimits(api_keys=3))
    made = stored(edit_of_account(None, account), api_keys=1, services=7)
    assert made.holdings.limits_of(ACCOUNT)[Quota.API_KEYS] == 3
    assert made.holdings.limits_of(ACCOUNT)[Quota.SERVICES] == 7
    assert made.holdings.limits_of(OTHER_ACCOUNT)[Quota.API_KEYS] == 1
    made.holdings.check([edit_of_account(account, an_account(keys=3))])
    refused = refusal(made, edit_of_account(account, an_account(keys=4)))
    assert refused.code == 70151
    made.holdings.check([edit_of_account(account, an_account(keys=2, status="suspended"))])


def test_a_number_in_a_pool_is_nobody_elses_to_record_or_pool() -> None:
    made = stored(*created(a_service(SERVICE, LONG_CODE)))
    theirs = {"account_sid": OTHER_ACCOUNT}
    for edit in (
        edit_of_number(None, a_number(**theirs)),
        *created(a_service(OTHER_SERVICE, LONG_CODE, **theirs)),
    ):
        refused = refusal(made, edit)
        assert refused.code == 21422
        assert ACCOUNT not in str(refused)
        assert LONG_CODE not in str(refused)
    made.holdings.check(created(a_service(OTHER_SERVICE, OTHER_LONG_CODE, **theirs)))
    made.holdings.check([edit_of_number(None, a_number())])


def test_a_number_is_free_once_it_was_given_up_and_in_the_edit_that_gives_it_up() -> None:
    mine, theirs = (
        a_service(SERVICE, LONG_CODE),
        a_service(OTHER_SERVICE, LONG_CODE, account_sid=OTHER_ACCOUNT),
    )
    made = stored(*created(mine))
    made.holdings.check([edit_of_service(mine, a_service()), *created(theirs)])
    assert (
        stored(*created(mine), edit_of_service(mine, None)).holdings.owners_of(LONG_CODE) == set()
    )
    refusal(made, edit_of_service(mine, mine), *created(theirs))  # while it is kept it is not


def test_two_that_ask_at_once_get_neither() -> None:
    refusal(
        stored(),
        *created(
            a_service(SERVICE, LONG_CODE),
            a_service(OTHER_SERVICE, LONG_CODE, account_sid=OTHER_ACCOUNT),
        ),
    )


def test_what_two_accounts_had_before_that_was_asked_goes_on() -> None:
    mine, theirs = (
        a_service(SERVICE, LONG_CODE),
        a_service(OTHER_SERVICE, LONG_CODE, account_sid=OTHER_ACCOUNT),
    )
    made = stored(*created(mine, theirs))
    assert made.holdings.owners_of(LONG_CODE) == {ACCOUNT, OTHER_ACCOUNT}
    made.holdings.check([edit_of_service(theirs, theirs.model_copy(update={"version": 2}))])


def test_names_belong_to_nobody() -> None:
    made = stored(*created(a_service(SERVICE, "Clinic")))
    assert made.holdings.owners_of("Clinic") == set()
    made.holdings.check(created(a_service(OTHER_SERVICE, "Clinic", account_sid=OTHER_ACCOUNT)))
