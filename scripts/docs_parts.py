"""The parts of README.md and docs/ that cog writes: what commands say, the picture of the folders, and the examples.

`make docs` writes them anew, `make lint` fails when one is stale.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import tomllib
from functools import cache
from pathlib import Path

from edge_runtime.commands import MODULES
from edge_runtime.registry import Registry

ROOT = Path(__file__).parents[1]
COLUMNS = 100
# Where a command's folder of subcommands or targets lies: its registry, and what selects one of its files.
_PARTS = {
    "pulse-bench": (Registry("benchmarks.verbs", "VERB", "verb"), lambda name: [name]),
    "pulse-export": (Registry("export.targets", "TARGET", "target"), lambda name: ["--target", name]),
}
_REGISTRY = re.compile(r'\bRegistry(?:\[[^=\n]*\])?\(\s*"([\w.]+)",\s*"(\w+)",\s*"([^"]+)"')


@cache
def help_text(command: str, *arguments: str) -> str:
    """What `command [arguments] --help` prints at a width of 100 columns. Raises CalledProcessError."""
    done = subprocess.run(
        [sys.executable, "-m", "edge_runtime.commands", command, *arguments, "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": str(COLUMNS), "NO_COLOR": "1", "PYTHONPATH": str(ROOT)},
    )
    return done.stdout.rstrip()


def description(command: str, *arguments: str) -> str:
    """The paragraph after the usage lines, on one line."""
    return " ".join(help_text(command, *arguments).split("\n\n")[1].split())


def forms(command: str) -> list[list[str]]:
    """The arguments that select each subcommand or target of a command, which have help of their own."""
    if command not in _PARTS:
        return []
    registry, select = _PARTS[command]
    return [select(name) for name in registry.names()]


def command_table(link: str) -> str:
    """A Markdown table of all commands; link: the document that has their help."""
    rows = [f"| [`{name}`]({link}#{name}) | {description(name)} |" for name in MODULES]
    return "\n".join(["| command | does |", "|---|---|", *rows])


def all_help() -> str:
    """A section a command: its help, then that of each of its subcommands or targets."""
    return "\n\n".join(f"## {command}\n\n{_help(command)}" for command in MODULES)


def _help(command: str) -> str:
    own = _block(help_text(command))
    more = [f"### {' '.join([command, *form])}\n\n{_block(help_text(command, *form))}" for form in forms(command)]
    return "\n\n".join([own, *more])


def _block(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def example(name: str, language: str = "python") -> str:
    """The file docs/examples/NAME as a block of code. Its tests run the file itself."""
    text = (ROOT / "docs/examples" / name).read_text(encoding="utf-8").rstrip()
    lines = text.count("\n") + 1
    if lines > 60:
        raise ValueError(f"docs/examples/{name} has {lines} lines; an example has 60 at most")
    return _block(text, language)


def seams() -> list[tuple[str, str, list[str]]]:
    """(folder as a dotted name, what its files are, their names) of every Registry in the source, by folder."""
    found = {}
    for package in layers():
        for file in sorted((ROOT / package).rglob("*.py")):
            for folder, attribute, what in _REGISTRY.findall(file.read_text(encoding="utf-8")):
                found[folder] = (folder, what, Registry[object](folder, attribute, what).names())
    return [found[folder] for folder in sorted(found)]


def seam_table() -> str:
    """A Markdown table of the folders whose files are found by name."""
    rows = [f"| `{folder.replace('.', '/')}/` | {what} | {', '.join(names)} |" for folder, what, names in seams()]
    return "\n".join(["| folder | each file is a | files |", "|---|---|---|", *rows])


def layers() -> dict[str, int]:
    """Package -> its floor in the house, 0 at the top, as import-linter's contract in pyproject.toml has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    floors = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return {package.strip(): floor for floor, packages in enumerate(floors) for package in packages.split("|")}


def house(width: int = 103) -> str:
    """The folders as boxes, one floor above the other; a box imports only from the floors below it."""
    by_floor: dict[int, list[str]] = {}
    for package, floor in layers().items():
        by_floor.setdefault(floor, []).append(package)
    drawing = []
    for packages in by_floor.values():
        inner = (width - 1) // len(packages) - 1
        drawing += _floor([_room(package, inner - 2) for package in packages], inner)
    edge = "+" + "-" * (len(drawing[0]) - 2) + "+"
    return _block("\n".join([*drawing, edge]))


def _room(package: str, width: int) -> list[str]:
    docstring = re.match(r'"""(.*?)"""', (ROOT / package / "__init__.py").read_text(encoding="utf-8"), re.DOTALL)
    if docstring is None:
        raise ValueError(f"{package}/__init__.py has no docstring")
    first = re.split(r"(?<=[.]) ", " ".join(docstring[1].split()))[0].rstrip(".")
    lines = [f"{package}/", *_wrapped(first, width - 2)]
    for folder, _, names in seams():
        if folder.split(".")[0] == package:
            lines += _wrapped(f"{'/'.join(folder.split('.')[1:])}/: {', '.join(names)}", width - 2)
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="    ")


def _floor(rooms: list[list[str]], inner: int) -> list[str]:
    height = max(len(room) for room in rooms)
    edge = "+" + "+".join("-" * inner for _ in rooms) + "+"
    rows = [[*room, *[""] * (height - len(room))] for room in rooms]
    return [edge, *("|" + "|".join(f" {row[i]:{inner - 1}}" for row in rows) + "|" for i in range(height))]
