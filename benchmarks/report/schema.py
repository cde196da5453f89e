"""JSON Schema (draft 2020-12) of dataclasses: of their fields, by name and type."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

_PLAIN: Mapping[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    types.NoneType: {"type": "null"},
    Any: {},
}


def schema_of(kind: type) -> dict[str, Any]:
    """Every dataclass that `kind` holds is a definition of its own; a field with a default is not required, further
    properties are allowed, and a class's RULES are added to its definition. Raises TypeError for another type."""
    defs: dict[str, Any] = {}
    reference = _schema(kind, defs)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **reference, "$defs": defs}


def _schema(kind: Any, defs: dict[str, Any]) -> dict[str, Any]:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:  # first, for its rules may not be hashed
        return {**_schema(parts[0], defs), **parts[1]}
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _definition(kind, defs)
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(part, defs) for part in parts]}
    if origin is list:
        return {"type": "array", "items": _schema(parts[0], defs)}
    if origin is dict and parts[0] is str:
        return {"type": "object", "additionalProperties": _schema(parts[1], defs)}
    raise TypeError(f"{kind} has no JSON schema")


def _definition(kind: type, defs: dict[str, Any]) -> dict[str, Any]:
    reference = {"$ref": f"#/$defs/{kind.__name__}"}
    if kind.__name__ not in defs:
        defs[kind.__name__] = {}  # a class may hold itself
        hints = get_type_hints(kind, include_extras=True)
        fields = dataclasses.fields(kind)
        defs[kind.__name__] = {
            "type": "object",
            "description": (kind.__doc__ or "").strip(),
            "required": [field.name for field in fields if field.default is dataclasses.MISSING],
            "properties": {field.name: _schema(hints[field.name], defs) for field in fields},
            **getattr(kind, "RULES", {}),
        }
    return reference
