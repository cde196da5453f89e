"""One page of a PDF as an image: many ECG machines print to PDF. pypdfium2 is imported only when one is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from edge_runtime.errors import UserError, shorten

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfiumError

# Longest side of the rendered page in pixels: 200 dots an inch on letter paper, the size PULSE's own pages have.
LONG_SIDE = 2200
_LOCKED = 4  # FPDF_ERR_PASSWORD in PDFium's fpdfview.h


def render_page(source: Path | bytes, page: int, name: str, long_side: int = LONG_SIDE) -> Image.Image:
    """Page `page` (from 1) on white, RGB, long_side pixels long. name: for messages.

    Raises UserError when the file is damaged or locked, the page does not exist, or pypdfium2 is not installed.
    """
    with _opened(source, name) as document:
        if len(document) == 0:
            raise UserError(f"{name}: the PDF has no pages; print or save it again")
        if page > len(document):
            raise UserError(f"{name}: has {len(document)} page(s), so page {page} does not exist")
        try:
            document.init_forms()  # without it, what stands in fields and stamps is not drawn
            sheet = document[page - 1]
            scale = long_side / max(*sheet.get_size(), 1.0)
            return sheet.render(scale=scale).to_pil().convert("RGB")
        except (
            RuntimeError,
            ValueError,
        ) as error:  # pypdfium2's own is the first; a crop box beside the page the second
            raise UserError(
                f"{name}: page {page} cannot be drawn ({shorten(str(error))}); save the PDF again"
            ) from None


def count_pages(source: Path | bytes, name: str) -> int:
    """How many pages it has. Raises UserError as render_page does."""
    with _opened(source, name) as document:
        return len(document)


@contextmanager
def _opened(source: Path | bytes, name: str) -> Iterator[PdfDocument]:
    try:
        import pypdfium2
    except ImportError:
        raise UserError(f"{name}: a PDF needs pypdfium2, which is not installed; pip install pypdfium2") from None
    try:
        document = pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        raise UserError(f"{name}: the PDF {_why(source, error)}") from None
    try:
        yield document
    finally:
        document.close()


def _why(source: Path | bytes, error: PdfiumError) -> str:
    """What is wrong with a PDF that PDFium does not open, and the fix."""
    # PDFium's number may be left over from another file, so the file itself says whether a lock is the matter.
    if b"/Encrypt" not in (source if isinstance(source, bytes) else source.read_bytes()):
        return "cannot be opened, it is damaged or has no pages; copy or save it again"
    if getattr(error, "err_code", None) == _LOCKED:
        return "is locked with a password; save it again without one"
    return "cannot be opened, it is damaged or encrypted in a way that is not read; print it into a new one"
