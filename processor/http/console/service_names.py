"""The name that a person types for a service."""

from __future__ import annotations

from pydantic import TypeAdapter

from processor.http.forms import Name

MOST = 64  # characters
WRONG_NAME = f"Give a name of 1 to {MOST} characters."

as_name = TypeAdapter(Name).validate_python
"""Checks a name; raises ``ValidationError``."""
