"""A draft of a service's opt-out configuration: replaced, checked, compared with what answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from processor.configuration.apply import apply
from processor.configuration.differences import Difference, differences
from processor.configuration.reviewed import reviewed
from processor.configuration.warnings import warnings_of
from processor.core.policy import OptOutConfig
from processor.errors import ConfigError, Problem
from processor.wire.services import config_of
from schemas.messaging_service import MessagingService, ServiceDocument


def with_draft(
    before: MessagingService, opt_out: object, *, now: datetime, **fields: str | None
) -> MessagingService:
    """The service with another draft, in force where its Advanced Opt-Out is enabled (R5).

    Args:
        before: as it is.
        opt_out: the draft, not checked yet.
        now: of the change.
        fields: other fields of the service's document; None takes one away.

    Raises:
        ConfigError: with every problem, each with its place in the configuration.
    """
    stored = set(ServiceDocument.model_fields)
    document = before.model_dump(mode="json", by_alias=True, exclude_none=True, include=stored)
    if isinstance(opt_out, dict):
        opt_out = {"enabled": before.active is not None, **opt_out}
        if opt_out["enabled"] is not (before.active is not None):
            text = "a draft does not change it; Enable and Disable do"
            raise ConfigError([Problem(("enabled",), "enabled_by_draft", text)])
    given = {**document, **fields, "opt_out": opt_out}
    applied = apply([given], {before.sid: before}, now=now, new_sid=lambda: before.sid)
    if applied.problems:
        raise ConfigError([_in_the_draft(problem) for problem in applied.problems])
    return applied.changed.get(before.sid, before)


def _in_the_draft(problem: Problem) -> Problem:
    """A problem of the service's document by its place in the draft."""
    match problem.place:
        case ("opt_out", *place) if place:
            return replace(problem, place=tuple(place), where=())
        case _:
            return replace(problem, where=())


def warnings_about(service: ServiceDocument, *, enabled: bool | None = None) -> list[Problem]:
    """The points a person should check before a draft comes into force (R11).

    Args:
        service: its places are those of the warnings.
        enabled: whether the draft answers, or would after the change under review; None: as it is.
    """
    answers = service.opt_out.enabled if enabled is None else enabled
    return warnings_of(reviewed(service, enabled=answers))


def warnings_in_draft(service: ServiceDocument, *, enabled: bool | None = None) -> list[Problem]:
    """The same warnings, by their places in the draft; those of other fields keep their place."""
    return [_in_the_draft(warning) for warning in warnings_about(service, enabled=enabled)]


def not_in_force(service: MessagingService) -> list[Difference]:
    """How a draft differs from what answers now: the active one, or default handling."""
    active = config_of(service.active) if service.active else OptOutConfig()
    return differences(active, config_of(service.opt_out))
