"""The checker compares the topics and Redis with its own small model.

It shares no code with the decisions it checks: it imports nothing from `core`, `wire` and `stages`.
"""

from processor.audit.options import Options, Snapshot
from processor.audit.report import Report, Violation
from processor.audit.run import audit, take_snapshot
from processor.audit.state import StateRefused

__all__ = ["Options", "Report", "Snapshot", "StateRefused", "Violation", "audit", "take_snapshot"]
