"""The services of an account by name: sorted once, and never out of date."""

from __future__ import annotations

from processor.configuration.edits import edit_of_service
from processor.kafka.topics.configuration_writer import Configuration
from tests.builders import ACCOUNT, OTHER_ACCOUNT
from tests.stored import a_stored_service, created, stored, take

SHOP = a_stored_service("MG1", friendly_name="shop")
BAKERY = a_stored_service("MG2", friendly_name="Bakery")
OTHER = a_stored_service("MG3", friendly_name="Cafe", account_sid=OTHER_ACCOUNT)


def names(made: Configuration, account_sid: str | None) -> list[str]:
    return [one.friendly_name for one in made.services.by_name(account_sid)]


def test_services_are_sorted_whatever_their_case() -> None:
    made = stored(*created(SHOP, OTHER, BAKERY))
    assert names(made, ACCOUNT) == ["Bakery", "shop"]
    assert names(made, None) == ["Bakery", "Cafe", "shop"]
    assert made.services.by_name(ACCOUNT) is made.services.by_name(ACCOUNT)


def test_a_change_is_seen_by_its_account_and_by_the_operator() -> None:
    made = stored(*created(SHOP, OTHER, BAKERY))
    for account in (ACCOUNT, OTHER_ACCOUNT, None):
        names(made, account)
    before = made.services.by_name(OTHER_ACCOUNT)
    renamed = SHOP.model_copy(update={"friendly_name": "Aardvark", "version": 2})
    take(made, edit_of_service(SHOP, renamed), edit_of_service(BAKERY, None))
    assert names(made, ACCOUNT) == ["Aardvark"]
    assert names(made, None) == ["Aardvark", "Cafe"]
    assert made.services.by_name(OTHER_ACCOUNT) is before
    take(made, *created(BAKERY))
    assert names(made, ACCOUNT) == ["Aardvark", "Bakery"]
