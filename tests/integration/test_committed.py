"""Committed offsets: an uncertain coordinator is asked again, never believed."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, for_code
from aiokafka.protocol.commit import OffsetFetchResponse_v3
from aiokafka.structs import OffsetAndMetadata

from processor.config import Settings
from processor.kafka.client import committed_of, group_view
from processor.wire.topics import Topics

LOADING, NOT_COORDINATOR, NOT_ALLOWED = 14, 16, 30


class Answers:
    """What the coordinator answers first, as Kafka does from version 2 on: one error for all."""

    def __init__(self, view: Any, *codes: int) -> None:
        self._codes = list(codes)
        self._really = view._coordinator._send_req
        view._coordinator._send_req = self

    async def __call__(self, request: Any) -> Any:
        if self._codes:
            return OffsetFetchResponse_v3(0, [], self._codes.pop(0))
        return await self._really(request)


async def test_a_coordinator_that_is_loading_is_not_one_that_knows_of_nothing(
    settings: Settings,
) -> None:
    topic = Topics.under(settings.topic_prefix).inbound_messages
    done, never = TopicPartition(topic, 0), TopicPartition(topic, 1)
    noted = OffsetAndMetadata(5, "a note")
    async with group_view(settings, f"{settings.topic_prefix}some") as view:
        assert await committed_of(view) == {}
        view.assign([done, never])
        await view.commit({done: noted})
        Answers(view, LOADING, NOT_COORDINATOR, LOADING)
        assert await committed_of(view, [done, never]) == {done: noted}
        Answers(view, LOADING)
        assert await committed_of(view) == {done: noted}


async def test_who_may_not_ask_is_told(settings: Settings) -> None:
    assert for_code(NOT_ALLOWED) is GroupAuthorizationFailedError
    async with group_view(settings, f"{settings.topic_prefix}some") as view:
        Answers(view, NOT_ALLOWED)
        with pytest.raises(GroupAuthorizationFailedError):
            await committed_of(view)
