"""One input of an archive to its rows: a page each, whatever is wrong with it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from edge_runtime import image, pages
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.session import Session
from pulse.archive.places import fetched
from pulse.archive.sources import Input

MOST_PAGES = 500  # of one file


@dataclass(frozen=True)
class Row:
    """One page read. page: from 1. sha256: of the input's file. kind: "picture" or "record". answer: what the model
    says; None where there is none. refused: it does not look like an ECG page. error: why it could not be read, else
    None. findings: probability by label; named: those that reach their operating points. measurements: the recorder's
    own. measured: on the page itself, where that was asked for and could be. repairs: what was changed to read a
    record."""

    input: str
    page: int
    sha256: str | None
    kind: str
    answer: str | None = None
    refused: bool = False
    error: str | None = None
    is_ecg: float | None = None
    turns: int = 0
    findings: dict[str, float] = field(default_factory=dict)
    named: list[str] = field(default_factory=list)
    measurements: dict[str, float] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)
    repairs: list[str] = field(default_factory=list)


class _Reader(NamedTuple):
    session: Session
    question: str | None
    measure: bool


def begin(bundle: str, manifest: str, question: str | None, measure: bool = False) -> Callable[[Input], list[Row]]:
    """rows_of in a process of its own. manifest: digest of the bundle's, which on another machine may be another.

    Raises UserError when it is, or the bundle cannot be run.
    """
    opened = Bundle.load(bundle)
    if opened.provenance.digest != manifest:
        raise UserError(f"{bundle}: is another bundle on {platform.node()}; copy the one that the run was begun with")
    reader = _Reader(Session.of(opened, threads=1), question, measure)
    return lambda one: rows_of(one, reader)


def rows_of(one: Input, reader: _Reader) -> list[Row]:
    """Its pages' rows; one row that says why where it cannot be read. Raises nothing for any input."""
    try:
        if one.url is None:
            return _rows(one, reader)
        with fetched(one.url, with_kin=one.is_record) as path:
            found = _rows(Input(one.name, path), reader)
        # Where it lay meanwhile is different each time.
        return [replace(row, error=row.error and row.error.replace(f"{path.parent}/", "")) for row in found]
    except FileNotFoundError:
        return [failed(one, f"{one.url}: is not there")]
    except Exception as error:  # each file system has errors of its own
        return [failed(one, f"cannot be read ({type(error).__name__}: {error})")]


def failed(one: Input, why: str, digest: str | None = None) -> Row:
    """The row of an input that could not be read."""
    return Row(one.name, 1, digest, "record" if one.is_record else "picture", error=why)


def _rows(one: Input, reader: _Reader) -> list[Row]:
    digest = None
    try:
        digest = _digest(one)
        return list(_read(one, reader, digest))
    except UserError as error:
        return [failed(one, str(error), digest)]
    except OSError as error:
        return [failed(one, f"cannot be read ({error.strerror or error})", digest)]
    except Exception as error:  # a fault of ours with this input must not stop the rest
        return [failed(one, f"failed ({type(error).__name__}: {error})", digest)]


def _digest(one: Input) -> str:
    if one.data is not None:
        return hashlib.sha256(one.data).hexdigest()
    assert one.path is not None
    if not one.path.is_file():
        raise UserError(f"{one.path}: is not there")
    with one.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(one: Input, reader: _Reader, digest: str) -> Iterator[Row]:
    is_dicom = Path(one.name).suffix.lower() == ".dcm"
    if not one.is_record or is_dicom:
        source = one.data if one.data is not None else one.path
        assert source is not None
        try:
            first = image.load(source)
        except UserError:
            if not is_dicom or one.path is None:
                raise
        else:
            for page in range(1, _pages(source, one.name) + 1):
                picture = first if page == 1 else image.load(source, page)
                yield _answered(Row(one.name, page, digest, "picture"), picture, reader)
            return
    from pulse.ecg.paper.render import render  # brings OpenCV, which pictures do not need
    from pulse.ecg.read import read_record

    assert one.path is not None
    record = read_record(one.path)
    row = Row(one.name, 1, digest, "record", measurements=record.measurements, repairs=list(record.repairs))
    yield _answered(row, Image.fromarray(render(record).image), reader)


def _pages(source: bytes | Path, name: str) -> int:
    found = pages.count(source)
    if found > MOST_PAGES:
        raise UserError(f"{name}: has {found} pages, more than {MOST_PAGES}; split it")
    return found


def _answered(row: Row, picture: Image.Image, reader: _Reader) -> Row:
    page = reader.session.look(picture, measure=reader.measure)
    answer = page.ask(reader.question).finish()
    values = {} if answer.evidence is None else answer.evidence.measurements.as_json()
    refused = answer.finish_reason == "not_ecg"
    found = answer.findings
    return replace(
        row,
        answer=answer.text,
        refused=refused,
        is_ecg=answer.is_ecg,
        turns=page.turns,
        findings={finding.label: finding.probability for finding in found},
        named=[finding.label for finding in found if finding.likely],
        measured={key: value for key, value in values.items() if isinstance(value, int | float)},
    )
