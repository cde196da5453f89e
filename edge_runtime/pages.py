"""The pages of one file: how many there are, and each one small. Hospitals print to PDF, fax machines to TIFF, and both
end up in DICOM files; which page is the ECG is for a person to say."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

from PIL import Image, TiffImagePlugin

from edge_runtime import dicom, image, pdf
from edge_runtime.errors import UserError, shorten


def count(source: str | os.PathLike[str] | bytes) -> int:
    """How many pages a PDF, TIFF or DICOM file has, which image.load reads one of; 1 for any other picture.

    source: as image.load takes it. Raises UserError when it is not there or cannot be opened.
    """
    name, data, _ = image.locate(source)
    _, kind = image.head_of(data)
    if kind == "pdf":
        return pdf.count_pages(data, name)
    if kind == "dicom":
        document, frames = dicom.pages_of(data, name)
        return frames if document is None else pdf.count_pages(document, name)
    return _frames(data, name) if kind == "tiff" else 1


def note(source: str | os.PathLike[str]) -> str:
    """That a file has more pages than the first, which is read where the path names none; "" where that is clear."""
    name, _, page = image.locate(source)
    pages = count(source) if page is None else 1
    return f"{name} has {pages} pages; this is the first ({Path(name).name}#2 is the next)" if pages > 1 else ""


def thumbnail(source: str | os.PathLike[str] | bytes, page: int, side: int) -> Image.Image:
    """A page, RGB, its longer side at most `side` pixels. Raises UserError as image.load does."""
    name, data, _ = image.locate(source)
    if image.head_of(data)[1] == "pdf":
        return pdf.render_page(data, page, name, side)
    whole = image.load(source, page)
    whole.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return whole


def _frames(data: bytes | Path, name: str) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata
        try:
            with io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb") as file:
                return int(TiffImagePlugin.TiffImageFile(file).n_frames)
        # As in image.load: damaged files make Pillow raise nearly anything.
        except Exception as error:
            raise UserError(f"{name}: is damaged or cut off ({shorten(str(error))}); copy or save it again") from None
