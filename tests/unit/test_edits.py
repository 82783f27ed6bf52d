"""Edits of the configuration, and their entries in the log of changes."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from processor.configuration.apply import disabled, enabled
from processor.configuration.edits import (
    edit_of_account,
    edit_of_carrier,
    edit_of_number,
    edit_of_service,
    write_change,
)
from schemas.carrier import Carrier
from schemas.number import Number
from tests.builders import ACCOUNT, LONG_CODE, OTHER_LONG_CODE, SERVICE
from tests.carriers import MAPPING, a_carrier
from tests.stored import a_stored_service, an_account

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)


def test_a_service_is_created_updated_enabled_disabled_and_deleted() -> None:
    made = a_stored_service()
    renamed = made.model_copy(update={"friendly_name": "Shop", "version": 2})
    on = enabled(renamed, now=AT)
    off = disabled(on, now=AT)
    steps = [(None, made), (made, renamed), (renamed, on), (on, off), (off, None)]
    edits = [edit_of_service(before, after) for before, after in steps]
    assert [edit.what for edit in edits] == ["created", "updated", "enabled", "disabled", "deleted"]
    assert edits[-1].value is None
    with pytest.raises(AssertionError):
        edit_of_service(None, None)


def test_a_change_says_who_did_what_and_no_word_of_what_it_says() -> None:
    edit = edit_of_service(None, a_stored_service(friendly_name="secret"))
    value = write_change(edit, change_id="C1", actor="operator/jane", at=AT)
    assert orjson.loads(value) == {
        "schema_version": 1,
        "change_id": "C1",
        "actor": "operator/jane",
        "what": "created",
        "kind": "service",
        "sid": SERVICE,
        "account_sid": ACCOUNT,
        "version_after": 1,
        "at": "2026-11-02T12:00:00Z",
    }


def test_an_account_notes_its_status_where_it_differs() -> None:
    made = an_account()
    assert edit_of_account(None, made).status_after == made.state
    assert edit_of_account(made, made).status_after is None


def test_a_number_is_created_updated_and_deleted_and_read_back_as_it_was() -> None:
    made = Number(
        sid="PN1",
        account_sid=ACCOUNT,
        address=LONG_CODE,
        type="long_code",
        friendly_name="Clinic",
        created_at=AT,
        updated_at=AT,
    )
    renamed = made.model_copy(update={"friendly_name": "Shop"})
    edits = [edit_of_number(*both) for both in [(None, made), (made, renamed), (renamed, None)]]
    assert [edit.what for edit in edits] == ["created", "updated", "deleted"]
    assert {(edit.kind, edit.sid, edit.account_sid) for edit in edits} == {
        ("number", "PN1", ACCOUNT)
    }
    assert [edit.senders for edit in edits] == [{LONG_CODE}, {LONG_CODE}, set()]
    assert Number.model_validate_json(edits[1].value or b"") == renamed
    assert edits[2].value is None


def test_a_carrier_is_created_updated_and_deleted_and_read_back_as_it_was() -> None:
    made = a_carrier("generic")
    grown = a_carrier("generic", senders=[LONG_CODE, OTHER_LONG_CODE])
    edits = [edit_of_carrier(*both) for both in [(None, made), (made, grown), (grown, None)]]
    assert [edit.what for edit in edits] == ["created", "updated", "deleted"]
    assert {(edit.kind, edit.sid, edit.account_sid) for edit in edits} == {
        ("carrier", "generic-1", ACCOUNT)
    }
    assert [Carrier.model_validate_json(edit.value or b"") for edit in edits[:2]] == [made, grown]
    assert edits[2].value is None
    stored = orjson.loads(edits[0].value or b"")
    assert stored["mapping"]["received"]["from"] == MAPPING["received"]["from"]  # as documents say
    assert stored["updated_by"] == "cli/test"


def test_a_carriers_own_record_says_who_changed_it_and_the_log_of_changes_does_not() -> None:
    edit = edit_of_carrier(None, a_carrier("kannel"))
    assert not edit.is_noted
    with pytest.raises(AssertionError):
        write_change(edit, change_id="C1", actor="operator/jane", at=AT)
    with pytest.raises(AssertionError):
        edit_of_carrier(None, None)
