"""The table of operations. A function takes an operation's operands by their MIL names and returns its result.

Arrays of floats arrive as float32 or float64, whatever their declared type: the interpreter rounds results to what is
declared. Constant operands such as axes arrive as arrays too. An operation with several results returns a tuple.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OPERATIONS: dict[str, Callable[..., Any]] = {}


def op(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function for MIL operations of these names."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            OPERATIONS[name] = function
        return function

    return register
