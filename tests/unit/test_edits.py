"""Edits of the configuration, and their entries in the log of changes."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from processor.configuration.apply import disabled, enabled
from processor.configuration.edits import edit_of_account, edit_of_service, write_change
from tests.builders import ACCOUNT, SERVICE
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
