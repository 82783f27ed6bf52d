"""Pages, forms and limits of the API, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from cachetools import FIFOCache
from fastapi import Request
from pydantic import Field, SecretStr

from processor.config import Settings
from processor.configuration.accounts import new_account
from processor.http import auth
from processor.http.auth import Caller, Credentials
from processor.http.errors import ApiError
from processor.http.forms import Form, OptionalUrl, form_of
from processor.http.limits import RateLimit
from processor.http.paging import Page, slice_of
from processor.kafka.topics.accounts_topic import AccountsView
from processor.stores.messages import RANKS
from processor.wire import credentials as wire_credentials
from processor.wire.credentials import is_secret
from schemas.message_status import MessageStatus
from tests.builders import ACCOUNT, KEY, OTHER_ACCOUNT

# Pages

ITEMS = list("abcdefg")


@dataclass
class _Seen:
    pages: list[Sequence[str]]
    last: str | None


def read_on(token: str | None, *, size: int = 3) -> _Seen:
    """Every page from a token on, each found by the previous page."""
    pages, number = [], 0
    while True:
        found = slice_of(ITEMS, Page(size, number, token), str)
        pages.append(found.items)
        if found.next_token is None:
            return _Seen(pages, found.previous_token)
        token, number = found.next_token, number + 1


def test_pages_follow_each_other_to_the_end() -> None:
    seen = read_on(None)
    assert seen.pages == [["a", "b", "c"], ["d", "e", "f"], ["g"]]


def test_a_page_leads_back_to_the_one_before() -> None:
    last = read_on(None).last
    assert slice_of(ITEMS, Page(3, 1, last), str).items == ["d", "e", "f"]
    first = slice_of(ITEMS, Page(3, 0, None), str)
    assert (first.previous_token, first.next_token) == (None, "PAc")


def test_a_page_stays_where_it_was_while_new_items_come() -> None:
    token = slice_of(ITEMS, Page(3, 0, None), str).next_token
    assert slice_of(["new", *ITEMS], Page(3, 1, token), str).items == ["d", "e", "f"]


@pytest.mark.parametrize("token", ["PAnobody", "PB", "DNxyz", ""])
def test_a_token_nobody_made_is_passed_over(token: str) -> None:
    assert slice_of(ITEMS, Page(3, 1, token), str).items == ["d", "e", "f"]


def test_an_empty_list_has_one_empty_page() -> None:
    nothing: list[str] = []
    found = slice_of(nothing, Page(50, 0, None), str)
    assert (found.items, found.next_token, found.previous_token) == ([], None, None)


# Forms


class _Form(Form):
    name: str = Field(alias="Name", max_length=5)
    url: OptionalUrl = Field(default=None, alias="Url")
    on: bool = Field(default=True, alias="On")
    many: list[str] = Field(default_factory=list, alias="Many")


async def parsed(body: bytes, kind: bytes = b"application/x-www-form-urlencoded") -> _Form:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind)]}
    return await form_of(_Form, codes={"Name": 20002})(Request(scope, receive))


async def test_a_form_has_words_for_booleans_and_repeats_lists() -> None:
    form = await parsed(b"Name=a&On=false&Many=1&Many=2&Unknown=x&Url=")
    assert (form.name, form.on, form.many, form.url) == ("a", False, ["1", "2"], None)
    assert form.model_fields_set == {"name", "on", "many", "url"}
    assert (await parsed(b"Name=a&Name=b")).model_fields_set == {"name"}
    assert (await parsed("Name=é%20+".encode())).name == "é  "


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"", 20002, "Missing required parameter Name in the post body"),
        (b"Name=secret", 20002, "Name: String should have at most 5 characters"),
        (b"Name=a&Url=secret", 20001, "Url: is not an http or https address"),
        (b"Name=a&On=secret", 20001, "On: Input should be a valid boolean"),
        (b"Name=\xff", 20001, "The body cannot be read as a form in UTF-8"),
        (b"&".join([b"Name=a"] * 1001), 20001, "The body cannot be read as a form in UTF-8"),
    ],
)
async def test_a_wrong_form_is_refused_in_words_that_repeat_nothing(
    body: bytes, code: int, words: str
) -> None:
    with pytest.raises(ApiError) as refused:
        await parsed(body)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert refused.value.message.startswith(words)
    assert "secret" not in refused.value.message


async def test_another_kind_of_body_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        await parsed(b"{}", b"application/json")
    assert refused.value.status == 415


# Limits


def test_a_bucket_runs_dry_and_fills_again() -> None:
    now = 0.0
    limit = RateLimit(2, clock_s=lambda: now)
    for _ in range(4):  # two seconds' worth
        limit.take("one")
    with pytest.raises(ApiError) as refused:
        limit.take("one")
    assert (refused.value.status, refused.value.code) == (429, 20429)
    limit.take("other")
    now = 0.5
    limit.take("one")
    with pytest.raises(ApiError):
        limit.take("one")


def test_no_limit_is_none() -> None:
    limit = RateLimit(0, clock_s=lambda: 0.0)
    for _ in range(10_000):
        limit.take("one")


# Credentials

TOKEN = "the operator's own"


@pytest.fixture
def credentials() -> Credentials:
    settings = Settings(operator_tokens=SecretStr(TOKEN))
    return Credentials(settings, AccountsView(settings, "accounts"))


async def status_of(credentials: Credentials, password: str) -> int:
    """The status of the operator's sign-in with a password."""
    try:
        await credentials.caller("operator", password, None)
    except ApiError as refused:
        return refused.status
    return 200


async def test_the_operators_token_is_hashed_once_and_every_wrong_one_each_time(
    credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []

    def counted(secret: str, stored: str) -> bool:
        hashed.append(secret)
        return is_secret(secret, stored)

    monkeypatch.setattr(auth, "is_secret", counted)
    tried = [TOKEN, "wrong", TOKEN, "wrong"]
    assert [await status_of(credentials, one) for one in tried] == [200, 401, 200, 401]
    assert hashed == [TOKEN, "wrong", "wrong"]
    for_an_account = await credentials.caller("operator", TOKEN, "AC1")
    assert for_an_account == Caller("AC1", "operator", operator=True)


async def test_a_token_that_was_made_costs_no_slow_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(secret_keys=SecretStr(KEY))
    made, chosen = "0123456789abcdef" * 2, "chosen by a person"
    accounts = AccountsView(settings, "accounts")
    accounts._take(
        {
            ACCOUNT: new_account(settings, ACCOUNT, made, "One", made=True),
            OTHER_ACCOUNT: new_account(settings, OTHER_ACCOUNT, chosen, "Other"),
        }
    )
    credentials = Credentials(settings, accounts)
    hashed = []

    def slow(*given: Any) -> bytes:
        hashed.append(given)
        return scrypt(*given)

    scrypt = wire_credentials._scrypt
    monkeypatch.setattr(wire_credentials, "_scrypt", slow)
    assert await credentials.caller(ACCOUNT, made, None) == Caller(ACCOUNT, ACCOUNT)
    assert hashed == []
    assert await credentials.caller(OTHER_ACCOUNT, chosen, None)
    assert len(hashed) == 1
    for user, password in ((ACCOUNT, chosen), (OTHER_ACCOUNT, made), (ACCOUNT, "")):
        with pytest.raises(ApiError):
            await credentials.caller(user, password, None)


async def test_a_credential_too_many_puts_out_one_and_not_all(
    credentials: Credentials,
) -> None:
    credentials._verified = FIFOCache(3)
    credentials._verified.update({b"one": "a", b"two": "b", b"three": "c"})
    assert await status_of(credentials, TOKEN) == 200
    assert list(credentials._verified)[:2] == [b"two", b"three"]
    assert len(credentials._verified) == 3


async def test_where_no_operators_token_is_set_nobody_is_the_operator() -> None:
    settings = Settings(operator_tokens=None)
    credentials = Credentials(settings, AccountsView(settings, "accounts"))
    assert [await status_of(credentials, one) for one in ("", "None")] == [401, 401]


def test_every_status_of_the_topic_has_a_rank() -> None:
    assert set(RANKS) == set(get_args(MessageStatus.model_fields["status"].annotation))
