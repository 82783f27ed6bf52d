"""The checker: what the topics and Redis hold, held against a small model of its own.

It shares no code with the decisions it checks: it imports nothing of `core`, `wire` and `stages`.
"""

from processor.audit.audit import STEPS, audit
from processor.audit.report import Report, Violation

__all__ = ["STEPS", "Report", "Violation", "audit"]
