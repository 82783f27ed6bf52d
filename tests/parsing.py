"""Parse Python in a process where hypothesis watches the garbage collector.

Its callback runs in the middle of `ast.parse`, and Python 3.11 then raises SystemError: "AST
constructor recursion depth mismatch".
"""

from __future__ import annotations

import ast
import gc


def parsed(source: str) -> ast.Module:
    """The syntax tree of a module, made while the collector rests."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if was_enabled:
            gc.enable()
