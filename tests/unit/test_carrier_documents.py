"""`carriers.yaml`: every problem at once with its place, secrets sealed, senders in one carrier."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner

from processor.carriers.directory import Carriers
from processor.carriers.providers import ADAPTERS
from processor.cli import main
from processor.configuration.carriers import about, apply, read
from processor.wire.carriers import connection_of
from processor.wire.credentials import seal, unseal
from schemas.carrier import Carrier, Provider
from tests.builders import ACCOUNT, LONG_CODE, OTHER_LONG_CODE, RECIPIENT
from tests.carriers import MAPPING, NOW, SECRETS, a_carrier, a_connection, a_document

PROVIDERS = sorted(SECRETS)


def a_sending(**fields: Any) -> dict[str, Any]:
    """A document of a provider that is only sent by."""
    return a_document("generic", mapping={"sending": fields})


def problems(document: object) -> list[str]:
    return [str(one) for one in read(document, NOW, "cli/test")[1]]


def applied(*documents: Any, stored: dict[str, Carrier] | None = None) -> Any:
    return apply(
        documents,
        stored or {},
        now=NOW,
        actor="cli/test",
        seal=lambda secret, name: f"00000000.{name}+{secret}",
        is_sealed=lambda sealed, secret, name: sealed == f"00000000.{name}+{secret}",
    )


@pytest.mark.parametrize("provider", get_args(Provider))
def test_each_provider_has_a_row_in_the_manual_with_its_secrets_and_options(provider: str) -> None:
    adapter = ADAPTERS[provider]
    lines = Path("processor/carriers/README.md").read_text("utf-8").splitlines()
    [row] = [line for line in lines if line.startswith(f"| `{provider}` |")]
    named = (*adapter.secrets, *adapter.other_secrets, *adapter.options, *adapter.other_options)
    assert [name for name in named if f"`{name}`" not in row] == []
    assert provider in SECRETS


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_provider_has_a_document_that_passes(provider: str) -> None:
    assert problems(a_document(provider)) == []


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (a_document("twilio", name="A B"), "name: is not a name: up to 32 small letters"),
        (a_document("twilio", senders=["x" * 20]), "senders.0.address: is not a sender"),
        (a_document("twilio", color="red"), "color: unknown field"),
        (a_document("twilio", options={}), "options.account: missing; twilio needs it"),
        (a_document("twilio", secrets={}), "secrets.auth_token: missing; twilio needs it"),
        (
            a_document("telnyx", options={"public_key": "x", "publickey": "y"}),
            "options.publickey: unknown; telnyx has no such",
        ),
        (a_document("kannel", api_url=None), "api_url: missing; where sends go"),
        (a_document("kannel", api_url="http://a b"), "api_url: is not an http or https address"),
        (a_document("twilio", senders=[LONG_CODE, LONG_CODE]), "senders.1: is given twice"),
        (a_document("whatsapp", senders=[LONG_CODE]), "senders.0: needs an address with whatsapp:"),
        (a_document("generic", mapping=None), "mapping: `generic` needs it"),
        (a_document("twilio", sends_per_second="fast"), "sends_per_second: Input should be"),
        ("twilio", "account_sid: missing"),
        (
            a_document("twilio", secrets={"auth_token": {"env": "A", "sealed": "b"}}),
            "secrets.auth_token: give the secret itself, in quotes, or `env` with the name",
        ),
        (
            a_document("twilio", secrets={"auth_token": 12345}),
            "secrets.auth_token: give the secret itself, in quotes, or `env` with the name",
        ),
        (a_document("twilio", secrets=["x"]), "secrets: must be a mapping"),
        (a_document("twilio", answers="STOP"), "answers: must be a list"),
        (a_document("twilio", account_sid=5), "account_sid: must be a text, in quotes"),
        (a_document("twilio", updated_by="me"), "updated_by: unknown field"),
        (
            a_document("twilio", api_url="http://a.b:22/"),
            "api_url: the port is neither 80 nor 443 nor from 1024 on",
        ),
        (
            a_document("telnyx", senders=[LONG_CODE, f"whatsapp:{LONG_CODE}"]),
            "senders.1: telnyx carries no WhatsApp here",
        ),
        (a_document("twilio", mapping=MAPPING), "mapping: only `generic` has one"),
        (a_sending(form={}, json={}), "mapping.sending: give either `form` or `json`"),
        (a_sending(), "mapping.sending: give either `form` or `json`"),
        (
            a_sending(method="GET", json={"to": "{to}"}),
            "mapping.sending.json: a GET has a `form`, its query",
        ),
        (
            a_sending(form={}, headers={"X-Key": "{secret.key}"}),
            "mapping.sending.headers.X-Key: unknown: {secret.key}; known are body, from",
        ),
        (
            a_document(
                "generic",
                mapping={"sending": {"form": {"to": "{too}"}}},
            ),
            "mapping.sending.form.to: unknown: {too}; known are body, from",
        ),
    ],
)
def test_a_problem_names_its_place_and_the_remedy(document: object, problem: str) -> None:
    assert [one for one in problems(document) if one.startswith(problem)], problems(document)


def test_a_generic_provider_has_secrets_of_any_name_and_fills_them_in() -> None:
    key = {"key": {"env": "KEY"}, "secret": {"env": "SECRET"}}
    document = a_sending(form={"to": "{to}"}, headers={"X-Key": "{secret.key}"})
    assert problems({**document, "secrets": key}) == []
    assert problems(a_document("twilio", secrets={"auth_token": {"env": "A"}, **key})) == [
        "secrets.key: unknown; twilio has no such",
        "secrets.secret: unknown; twilio has no such",
    ]


def test_an_empty_secret_is_a_problem_and_is_not_sealed() -> None:
    made = applied(a_document("twilio", secrets={"auth_token": ""}))
    assert [str(one) for one in made.problems] == [
        "carrier 1 (twilio-1): secrets.auth_token: give the secret itself, in quotes, or `env`"
        " with the name of a variable"
    ]
    assert made.changed == {}


def test_a_sealed_secret_opens_for_its_own_carrier_only() -> None:
    key = bytes(32)
    documents = [
        a_document("twilio", name=name, senders=[sender], secrets={"auth_token": "plain"})
        for name, sender in (("a", LONG_CODE), ("b", OTHER_LONG_CODE))
    ]
    made = apply(
        documents,
        {},
        now=NOW,
        actor="cli/test",
        seal=lambda secret, name: seal(secret, key, about=about(name)),
    )
    sealed = made.changed["a"].secrets["auth_token"].sealed
    assert sealed
    assert unseal(sealed, [key], about=about("a")) == "plain"
    assert unseal(sealed, [key], about=about("b")) is None


def test_a_carrier_is_described_once() -> None:
    made = applied(a_document("twilio"), a_document("twilio", answers=[]))
    assert [str(one) for one in made.problems] == [
        "carrier 2 (twilio-1): name: twilio-1 is described twice"
    ]
    assert made.changed == {}


def test_secrets_are_sealed_and_the_same_document_changes_nothing() -> None:
    document = a_document("twilio", secrets={"auth_token": "plain"}, sends_per_second="12.5")
    first = applied(document)
    carrier = first.changed["twilio-1"]
    assert carrier.secrets["auth_token"].sealed == "00000000.twilio-1+plain"
    assert carrier.sends_per_second == 12.5
    assert applied(document, stored={"twilio-1": carrier}).changed == {}
    other = {**document, "secrets": {"auth_token": "other"}}
    assert list(applied(other, stored={"twilio-1": carrier}).changed) == ["twilio-1"]


def test_a_sender_of_an_account_belongs_to_one_carrier() -> None:
    stored = {"kannel-1": a_carrier("kannel")}
    [problem] = applied(a_document("twilio"), stored=stored).problems
    assert "belongs to the carriers kannel-1 and twilio-1" in str(problem)
    other = {"address": LONG_CODE, "account_sid": "AC2"}
    assert applied(a_document("twilio", senders=[other]), stored=stored).problems == []


def test_problems_name_their_document() -> None:
    [problem] = applied(a_document("twilio"), a_document("kannel", api_url=None)).problems[:1]
    assert str(problem).startswith("carrier 2 (kannel-1): api_url: missing")


def test_the_directory_finds_the_carrier_of_a_sender_and_chooses_a_sender() -> None:
    first = a_connection("kannel", senders=[LONG_CODE, OTHER_LONG_CODE])
    carriers = Carriers([first])
    assert carriers.serving(ACCOUNT, LONG_CODE) == (first, first.senders[LONG_CODE])
    assert carriers.serving("AC2", LONG_CODE) is None
    pool = [LONG_CODE, OTHER_LONG_CODE, "+15550009999"]
    chosen = {
        carriers.one_of(ACCOUNT, pool, f"+1555765432{digit}")[1].address  # type: ignore[index]
        for digit in range(10)
    }
    assert chosen == {LONG_CODE, OTHER_LONG_CODE}
    assert carriers.one_of(ACCOUNT, pool, f"whatsapp:{RECIPIENT}") is None
    second = a_connection("twilio", senders=[LONG_CODE])
    carriers.change({"kannel-1": a_connection("kannel", senders=[]), "twilio-1": second})
    assert carriers.serving(ACCOUNT, LONG_CODE) == (second, second.senders[LONG_CODE])
    carriers.change({"twilio-1": None})
    assert carriers.serving(ACCOUNT, LONG_CODE) is None


def test_the_providers_words_are_the_usual_ones_unless_the_document_says_others() -> None:
    assert "stop" in a_connection("twilio").answers
    assert a_connection("twilio", answers=[]).answers == frozenset()
    assert a_connection("kannel", answers=["STOP"]).answers == {"stop"}
    assert connection_of(a_carrier("kannel"), {}).answers == frozenset()


def test_the_command_checks_a_file_and_prints_every_problem(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(
        "- name: gateway\n  provider: kannel\n  account_sid: AC1\n  senders: ['12345']\n"
        "  api_url: http://127.0.0.1:13013/cgi-bin/sendsms\n"
        "  options: {username: optout}\n"
        "  secrets: {secret: {env: SECRET}, password: hunter2}\n"
    )
    bad.write_text("- {name: gateway, provider: kanel}\n")
    fine = CliRunner().invoke(main, ["carriers", "check", str(good)])
    assert (fine.exit_code, fine.stdout) == (0, "0 errors\n")
    assert "no one answers STOP to 12345" in fine.stderr
    wrong = CliRunner().invoke(main, ["carriers", "check", str(bad)])
    assert wrong.exit_code == 2
    assert "carrier 1 (gateway): provider: Input should be 'twilio', 'telnyx'" in wrong.stdout
    assert "carrier 1 (gateway): account_sid: missing" in wrong.stdout
