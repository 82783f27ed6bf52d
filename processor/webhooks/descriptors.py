"""File descriptors: each request takes one, and Kafka and Redis need some of this process's."""

from __future__ import annotations

import logging
import resource

logger = logging.getLogger(__name__)

_ENOUGH = 65_536
_SHARE = 4  # requests may use a quarter of all descriptors


def raise_limit() -> None:
    """Let the process open as many as the system allows, up to 65,536."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_requests(wanted: int) -> int:
    """How many requests may run at once: as wanted, but at most a quarter of the descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or wanted <= soft // _SHARE:
        return wanted
    most = max(1, soft // _SHARE)
    logger.warning("webhooks.few_descriptors", extra={"limit": soft, "requests": most})
    return most
