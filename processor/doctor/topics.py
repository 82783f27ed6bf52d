"""The topics' settings, and the rights of this process's users on Kafka and Redis."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from importlib.resources import files

import orjson

from processor.doctor.examination import Examination
from processor.doctor.findings import count, some_of
from processor.kafka.rights import Kind, missing, rights_of
from processor.kafka.topics import topic_admin
from processor.kafka.topics.topic_plan import Consequence, plans
from processor.stores.redis_facts import refused_to


async def topics(at: Examination) -> str:
    """Check names, partitions and settings of every topic."""
    alike: dict[tuple[str, str, bool], list[str]] = defaultdict(list)  # topics by their problem
    for problem in await topic_admin.check(at.settings):
        is_note = problem.consequence is Consequence.NOTE
        alike[problem.what, problem.remedy, is_note].append(problem.place)
    for (what, remedy, is_note), places in alike.items():
        (at.note if is_note else at.wrong)(f"{some_of(places)}: {what}", remedy)
    return f"{len(plans(at.settings))} topics, {count(at.settings.partitions, 'partition')}"


async def rights(at: Examination) -> str:
    """Compare the rights of this process's users with those that the role needs."""
    settings, role = at.settings, at.role
    names = [plan.name for plan in plans(settings)]
    wanted = rights_of(_roles()[role], settings.topic_prefix, names)
    lacking: dict[tuple[Kind, str], list[str]] = defaultdict(list)
    for right in await missing(settings, wanted):
        lacking[right.kind, right.operation].append(right.name)
    who = f"Kafka's user {settings.kafka_username}" if settings.kafka_username else "no Kafka user"
    for (kind, operation), each in lacking.items():
        what = f"{who} lacks {operation} on {kind.replace('_', ' ')} {some_of(each)}"
        at.wrong(what, f"give it the rights of kafka.{role} in deploy/acls.toml")
    for command in await refused_to(at.redis, settings.topic_prefix, role):
        what = f"Redis does not let this user run {command}"
        at.wrong(what, f"give it the rights of {role}; deploy/redis_users.py prints them")
    return f"{count(len(wanted), 'right')} of the role {role}"


@cache
def _roles() -> dict[str, dict[Kind, dict[str, list[str]]]]:
    """The rights on Kafka by role; `make manifests` copies them from `deploy/acls.toml`."""
    text = files("processor.doctor").joinpath("rights.json").read_bytes()
    roles: dict[str, dict[Kind, dict[str, list[str]]]] = orjson.loads(text)
    return roles
