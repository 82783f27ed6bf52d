"""The checker compares the topics and Redis with its own small model.

It shares no code with the decisions it checks: it imports nothing from `core`, `wire` and `stages`.
"""

from processor.audit.audit import STEPS, audit
from processor.audit.report import Report, Violation

__all__ = ["STEPS", "Report", "Violation", "audit"]
