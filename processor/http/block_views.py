"""What the block list's calls answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class BlockLine(BaseModel):
    """One block: whom it keeps from whom, since when and because of what."""

    recipient: str
    channel_group: str
    account_sid: str
    scope: str
    messaging_service_sid: str | None
    sender: str | None
    carrier: bool = Field(description="A toll-free network's own.")
    since: str
    change_id: str = Field(description="The message or command that caused it, and its place.")
    mark: str


class Verdict(BaseModel):
    """Whether a send to one recipient would go out."""

    recipient: str
    allowed: bool
    error_code: int | None = Field(description="21610 where not.")
    block: BlockLine | None
    mark: str = Field(description="Of the block list it was read at.")


class Checked(BaseModel):
    """The verdicts, in the order of the recipients."""

    results: list[Verdict]


class Recipient(BaseModel):
    """The account's blocks on one recipient."""

    recipient: str
    blocked: bool
    blocks: list[BlockLine]
    mark: str


class Changed(BaseModel):
    """What a change came to; what is on the list only where it is in force."""

    command_id: str
    in_force: bool
    recipient: str = ""
    blocked: bool = False
    blocks: list[BlockLine] = []
    mark: str = ""


class PageMeta(BaseModel):
    """Where a page stands."""

    key: str
    page_size: int
    next_page_url: str | None


class Page(BaseModel):
    """Some blocks."""

    meta: PageMeta
    blocks: list[BlockLine]


class History(BaseModel):
    """The changes of a recipient, each as `block-changes.v1` says."""

    recipient: str
    changes: list[dict[str, Any]]


class BadRow(BaseModel):
    """A row that was left out."""

    row: int
    error: str


class Imported(BaseModel):
    """What became of the rows."""

    accepted: int
    refused: int
    errors: list[BadRow]
