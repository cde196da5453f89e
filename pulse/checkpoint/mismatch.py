"""Why a checkpoint's tensors are not those of its config.json: what people do by mistake is named before what differs.

Looked at only after the tensors did not fit, so a checkpoint that fits costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from edge_runtime.errors import UserError
from pulse.checkpoint.published import TABLE
from pulse.checkpoint.weights import INDEX, SINGLE

HEAD = "language_model.lm_head.weight"
_PEFT = "base_model.model."
_FIRST = 3  # names of each kind that are told; a tower alone has hundreds


def mismatch(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], folder: Path) -> UserError | None:
    """What to raise where the tensors `state` of a folder are not those `wanted` by name and shape; None where they
    are."""
    missing = sorted(wanted.keys() - state.keys())
    unknown = sorted(state.keys() - wanted.keys())
    shapes = sorted(k for k in wanted.keys() & state.keys() if wanted[k].shape != state[k].shape)
    if not (missing or unknown or shapes):
        return None
    if any(name.startswith(_PEFT) for name in unknown):
        return UserError(
            f"{folder}: names of its weights begin with {_PEFT[:-1]}, as PEFT's wrapper saves them; save the model "
            "after merge_and_unload(), or give the adapter's folder"
        )
    if missing and (folder / SINGLE).is_file() and (folder / INDEX).is_file():
        return UserError(
            f"{folder}: holds both {SINGLE} and {INDEX}, and {SINGLE}, which is read, lacks {_few(missing)}; remove "
            f"{SINGLE} if the shards are the model, or copy the checkpoint again"
        )
    differing = [f"{k} {list(state[k].shape)} where config.json says {list(wanted[k].shape)}" for k in shapes]
    if set(shapes) == {HEAD, TABLE} and not (missing or unknown) and (rows := _rows(wanted, state)):
        return UserError(
            f"{folder}: vocab_size in config.json does not fit the token tables ({'; '.join(differing)}); if the "
            f"vocabulary was padded or has added tokens, set vocab_size to {rows}"
        )
    faults = {"missing": missing, "unknown": unknown, "of another shape": differing}
    listed = "; ".join(f"{kind}: {_few(names)}" for kind, names in faults.items() if names)
    return UserError(f"{folder}: the tensors are not those of its config.json ({listed}); copy the checkpoint again")


def _rows(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> int | None:
    """The vocabulary that both tables have, None where they have no common one, or other columns."""
    table, head = state[TABLE].shape, state[HEAD].shape
    past = len(wanted[TABLE]) - len(wanted[HEAD])  # rows that no token has
    fits = table[1:] == wanted[TABLE].shape[1:] and head[1:] == wanted[HEAD].shape[1:]
    return head[0] if fits and table[0] - past == head[0] else None


def _few(names: Sequence[str]) -> str:
    told = ", ".join(names[:_FIRST])
    return told if len(names) <= _FIRST else f"{told} ... ({len(names)} in all)"
