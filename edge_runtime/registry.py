"""A seam: a folder whose files each hold one object, found by file name, so that adding one is adding one file.

Nothing outside the folder knows the names. A file is imported when its object is asked for by name, not before: an
engine or a target may need packages that others do not.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from edge_runtime.errors import UserError, shorten

T = TypeVar("T")


@dataclass(frozen=True)
class Registry(Generic[T]):
    """package: the folder's dotted name. attribute: what each of its modules calls its object. what: the kind of thing,
    for messages ("target").

    A module `a_b` is called "a-b"; those whose names begin with "_" are the others' helpers and are not listed.
    """

    package: str
    attribute: str
    what: str

    def names(self) -> list[str]:
        """All names in alphabetical order, without importing any."""
        folder = importlib.import_module(self.package)
        modules = (module.name for module in pkgutil.iter_modules(folder.__path__))
        return sorted(name.replace("_", "-") for name in modules if not name.startswith("_"))

    def load(self, name: str) -> T:
        """The object of that name. Raises UserError for a name that no file has, and for a file without an object."""
        if name not in self.names():
            known = ", ".join(self.names())
            raise UserError(f"{self.what} {shorten(name)} is not one this version has; use one of {known}")
        module = importlib.import_module(f"{self.package}.{name.replace('-', '_')}")
        if not hasattr(module, self.attribute):
            raise UserError(f"{module.__name__}: defines no {self.attribute}, which every {self.what} has; add it")
        found: T = getattr(module, self.attribute)
        return found

    def all(self) -> Iterator[tuple[str, T]]:
        """(name, object) of every file, in alphabetical order; imports them all."""
        return ((name, self.load(name)) for name in self.names())
