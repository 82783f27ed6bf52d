"""The holdings of accounts: amounts by kind, and numbers; checks how much an edit may add."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from processor.config import Settings
from processor.configuration.edits import Edit
from processor.configuration.quotas import Amounts, Quota, excesses
from processor.core.messages import SenderType, sender_type_of
from processor.errors import EditRefused, Problem
from processor.kafka.topics.accounts_topic import AccountsView
from processor.kafka.topics.numbers_topic import NumbersView
from processor.kafka.topics.services_topic import StoredServices

NUMBER_TAKEN = 21422  # Twilio's: the number is not available


class Holdings:
    """Looks at the stored configuration as it is now."""

    def __init__(
        self,
        settings: Settings,
        services: StoredServices,
        accounts: AccountsView,
        numbers: NumbersView,
    ) -> None:
        self._services = services
        self._accounts = accounts
        self._numbers = numbers
        self._usual = {quota: int(getattr(settings, f"account_{quota}")) for quota in Quota}

    def limits_of(self, account_sid: str) -> dict[Quota, int]:
        """Each limit of an account: its own, or the installation's."""
        return self._usual | self.own_limits_of(account_sid)

    def own_limits_of(self, account_sid: str) -> dict[Quota, int]:
        """The limits that an account has for itself."""
        account = self._accounts.get(account_sid)
        own = account.limits if account else None
        return {Quota(name): limit for name, limit in own or () if limit is not None}

    def usage_of(self, account_sid: str) -> dict[Quota, int]:
        """An account's amount of each kind, except messages, which Redis counts."""
        account = self._accounts.get(account_sid)
        return {
            **self._services_of(account_sid),
            Quota.NUMBERS: self._count_numbers(account_sid),
            Quota.API_KEYS: len(account.api_keys) if account else 0,
        }

    def _services_of(self, account_sid: str) -> dict[Quota, int]:
        count, size = self._services.size_of(account_sid)
        return {Quota.SERVICES: count, Quota.CONFIGURATION_BYTES: size}

    def _count_numbers(self, account_sid: str) -> int:
        """How many ``numbers_of`` has, at less cost."""
        return self._services.numbers_in_pools(account_sid) + sum(
            self._services.holder_of(account_sid, number.address) is None
            for number in self._numbers.of_account(account_sid)
        )

    @property
    def accounts(self) -> set[str]:
        """The accounts that have something: a record, a service or a number."""
        accounts = {account.sid for account in self._accounts.all()}
        accounts |= {service.head.account_sid for service in self._services.every()}
        return accounts | {number.account_sid for number in self._numbers.every()}

    def numbers_of(self, account_sid: str) -> set[str]:
        """The addresses that belong to an account: those recorded, and those in its pools."""
        pooled = (
            sender.address
            for service in self._services.of_account(account_sid)
            for sender in service.head.senders
            if can_be_owned(sender.address)
        )
        recorded = (number.address for number in self._numbers.of_account(account_sid))
        return set(chain(pooled, recorded))

    def owners_of(self, address: str, *, apart_from: Iterable[str] = ()) -> set[str]:
        """The accounts that a number belongs to: one, none, or several from before that was asked.

        Args:
            address: with its channel prefix, as a sender has it.
            apart_from: sids of services and numbers that do not count.
        """
        if not can_be_owned(address):
            return set()
        holders = set(self._services.holders_of(address)).difference(apart_from)
        found = {held.head.account_sid for sid in holders if (held := self._services.get(sid))}
        recorded = self._numbers.at(address)
        if recorded and recorded.sid not in apart_from:
            found.add(recorded.account_sid)
        return found

    def check(self, edits: Sequence[Edit]) -> None:
        """Refuse what makes an account larger than it may be, or takes another's number.

        Raises:
            EditRefused: with every problem.
        """
        self._check_owners(edits)
        for account_sid, its in _by_account(edits).items():
            adds = any(edit.value and edit.kind != "account" for edit in its)
            if adds and self._accounts.ended.get(account_sid) == "closed":
                text = "The account is closed; nothing can be added to it"
                raise EditRefused([Problem((), "account_closed", text)], code=20005)
            before, after = self._change_of(account_sid, its)
            found = excesses(before, after, self.limits_of(account_sid))
            if found:
                problems = [Problem((), f"quota_{one.quota}", str(one)) for one in found]
                raise EditRefused(problems, code=found[0].code)

    def _check_owners(self, edits: Sequence[Edit]) -> None:
        edited = {edit.sid for edit in edits}
        named: dict[str, set[str]] = defaultdict(set)  # by address: accounts whose new values do
        for edit in edits:
            for address in edit.senders:
                named[address].add(edit.account_sid)
        for edit in edits:
            for address in self._added(edit):
                owners = self.owners_of(address, apart_from=edited) | named[address]
                if owners != {edit.account_sid}:
                    text = "one of its numbers is not available"
                    where = (f"{edit.kind} {edit.sid}",)
                    problem = Problem((), "number_not_available", text, where)
                    raise EditRefused([problem], code=NUMBER_TAKEN)

    def _added(self, edit: Edit) -> set[str]:
        """The numbers that an edit brings to an account which did not have them."""
        return {
            address
            for address in edit.senders - self._named_by(edit)
            if can_be_owned(address) and edit.account_sid not in self.owners_of(address)
        }

    def _named_by(self, edit: Edit) -> set[str]:
        """The senders that what is edited names until then."""
        if edit.kind == "service":
            service = self._services.get(edit.sid)
            return {sender.address for sender in service.head.senders} if service else set()
        number = self._numbers.get(edit.sid) if edit.kind == "number" else None
        return {number.address} if number else set()

    def _change_of(self, account_sid: str, edits: Sequence[Edit]) -> tuple[Amounts, Amounts]:
        """An account's amounts before and after the edits, of the kinds that they increase."""
        before: dict[Quota, int] = {}
        after: dict[Quota, int] = {}
        services = [edit for edit in edits if edit.kind == "service"]
        if services:
            stored = {edit.sid: self._services.value_of(edit.sid) for edit in services}
            before |= self._services_of(account_sid)
            more = sum(bool(edit.value) - bool(stored[edit.sid]) for edit in services)
            bytes_ = sum(len(edit.value or b"") - len(stored[edit.sid] or b"") for edit in services)
            after[Quota.SERVICES] = before[Quota.SERVICES] + more
            after[Quota.CONFIGURATION_BYTES] = before[Quota.CONFIGURATION_BYTES] + bytes_
        if added := set(chain.from_iterable(map(self._added, edits))):
            before[Quota.NUMBERS] = had = self._count_numbers(account_sid)
            after[Quota.NUMBERS] = had + len(added) - len(self._lost(account_sid, edits))
        for edit in edits:
            if edit.kind == "account":
                account = self._accounts.get(edit.sid)
                before[Quota.API_KEYS] = len(account.api_keys) if account else 0
                after[Quota.API_KEYS] = edit.api_keys
        return before, after

    def _lost(self, account_sid: str, edits: Sequence[Edit]) -> set[str]:
        """The numbers that an account has no more after edits."""
        edited = {edit.sid for edit in edits}
        named = set(chain.from_iterable(edit.senders for edit in edits))
        return {
            address
            for address in set(chain.from_iterable(map(self._named_by, edits))) - named
            if can_be_owned(address)
            and account_sid not in self.owners_of(address, apart_from=edited)
        }


def can_be_owned(address: str) -> bool:
    """Whether a sender belongs to an account: any but a name, which many may use."""
    return sender_type_of(address) is not SenderType.ALPHANUMERIC


def _by_account(edits: Iterable[Edit]) -> Mapping[str, Sequence[Edit]]:
    found: dict[str, list[Edit]] = defaultdict(list)
    for edit in edits:
        found[edit.account_sid].append(edit)
    return found
