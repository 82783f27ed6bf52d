"""How lanes are, by looks at their positions."""

from __future__ import annotations

import pytest

from processor.config import Settings
from processor.http.lane_health import LaneHealth
from processor.kafka.topics.lane_positions import Look
from processor.statistics.lane_health import STALLED_S, Lane, Position, Track, lanes_of, tracked
from processor.wire.topics import Topics

TOPIC, OTHER = "inbound", "commands"


def looks(*seen: tuple[float, int, int]) -> Track:
    """Looks at one partition: time, end, done."""
    tracks: dict[tuple[str, int], Track] = {}
    for at_s, end, done in seen:
        tracks = tracked(tracks, {(TOPIC, 0): Position(end, done)}, at_s)
    return tracks[TOPIC, 0]


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ([(0.0, 10, 10)], "idle"),
        ([(0.0, 11, 10)], "idle"),  # the end of a transaction
        ([(0.0, 100, 10)], "works"),
        ([(0.0, 100, 10), (29.0, 100, 10)], "works"),
        ([(0.0, 100, 10), (STALLED_S, 100, 10)], "stalled"),
        ([(0.0, 100, 10), (20.0, 100, 11), (40.0, 100, 11)], "works"),
        ([(0.0, 100, 10), (20.0, 100, 11), (50.0, 100, 11)], "stalled"),
        ([(0.0, 9_000, 0), (10.0, 9_000, 100)], "behind"),
        ([(0.0, 9_000, 0), (10.0, 9_000, 6_000)], "works"),
        ([(0.0, 10, 10), (300.0, 100, 10)], "works"),  # it just got something
        ([(0.0, 10, 10), (300.0, 100, 10), (330.0, 100, 10)], "stalled"),
        ([(0.0, 100, 10), (40.0, 100, 5)], "works"),  # a person set the offset
    ],
)
def test_a_lane_is_stalled_once_records_wait_and_it_comes_no_further(
    seen: list[tuple[float, int, int]], state: str
) -> None:
    assert looks(*seen).state == state


def test_a_lane_is_as_its_worst_topic() -> None:
    tracks = tracked(
        {},
        {(TOPIC, 0): Position(9, 0), (OTHER, 0): Position(4, 4), (TOPIC, 1): Position(2, 2)},
        5.0,
    )
    tracks = tracked(tracks, {place: track.position for place, track in tracks.items()}, 45.0)
    assert lanes_of(tracks) == [Lane(0, 9, "stalled", 40.0), Lane(1, 0, "idle", 0.0)]


def test_messages_that_wait_for_another_try_are_counted_apart_and_no_lane_is_behind_for_them() -> (
    None
):
    topics = Topics.under("t.")
    health = LaneHealth(Settings(topic_prefix="t."), topics)
    positions = {
        (topics.reply_sends, 0): Position(4, 4),
        (topics.allowed_sends, 0): Position(9, 6),
        (topics.carrier_retries_1, 0): Position(20, 9),
        (topics.carrier_retries_4, 0): Position(7, 2),
    }
    health._take("carriers", Look(2, True, positions))
    [role] = health.roles()
    assert (role.waiting, role.retrying, len(role.lanes)) == (3, 16, 1)
