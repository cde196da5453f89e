"""The subcommands of pulse-bench: one file a verb, whose name is the file's.

What `--help` needs is light: a verb imports what it measures with when it runs. What takes long to import, or is long,
stands in a file of the same name with "_" before it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_runtime.registry import Registry

# The result as JSON, the same as text, and the exit status where it is not 0.
Outcome = tuple[dict[str, Any], str] | tuple[dict[str, Any], str, int]


@dataclass(frozen=True)
class Verb:
    """help: one line. add_arguments(parser, argv): argv is the command line after the verb, for verbs whose options
    follow from one of them. run(args): raises UserError for wrong use. own_out: the verb has an --out of its own."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser, Sequence[str]], None]
    run: Callable[[argparse.Namespace], Outcome]
    own_out: bool = False


VERBS: Registry[Verb] = Registry("benchmarks.verbs", "VERB", "verb")
