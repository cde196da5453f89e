"""A run that is taken up again goes on with the settings that it was begun with, which its recipe.json holds."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from edge_runtime.errors import UserError
from edge_runtime.files import write_text

RECIPE = "recipe.json"


def check_same(folder: Path, settings: Mapping[str, Any], may_differ: Collection[str] = ()) -> None:
    """Compare a run's settings, as JSON, with those that its folder holds; a folder without any is a new run.

    may_differ: dotted names of settings that change nothing in what is made. Raises UserError that names what differs,
    or when recipe.json is of another version or no JSON.
    """
    path = folder / RECIPE
    if path.exists():
        check_text(path.read_text(encoding="utf-8"), str(folder), settings, may_differ)


def check_text(text: str, folder: str, settings: Mapping[str, Any], may_differ: Collection[str] = ()) -> None:
    """As check_same, of a recipe's text, wherever it was kept. folder: for messages."""
    try:
        before = json.loads(text)
    except ValueError as error:
        raise UserError(f"{folder}: its recipe is no JSON ({error}); give another --out") from None
    settings = _as_json(settings)
    if not isinstance(before, dict) or before.keys() != settings.keys():
        raise UserError(f"{folder}: holds a run of another version; give another --out")
    if changed := sorted(set(_changed(before, settings)) - set(may_differ)):
        raise UserError(f"{folder}: holds a run with other settings ({', '.join(changed)}); give another --out")


def write_recipe(folder: Path, settings: Mapping[str, Any]) -> None:
    """Record the settings that a run is begun with. Raises OSError."""
    write_text(folder / RECIPE, recipe_text(settings))


def recipe_text(settings: Mapping[str, Any]) -> str:
    """What recipe.json holds."""
    return json.dumps(settings, indent=1) + "\n"


def _as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples become lists, as they do in the file."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def _changed(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str = "") -> list[str]:
    names = []
    for key in a.keys() | b.keys():
        name, old, new = prefix + key, a.get(key), b.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            names += _changed(old, new, f"{name}.")
        elif old != new:
            names.append(name)
    return names
