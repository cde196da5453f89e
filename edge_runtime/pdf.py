"""One page of a PDF as an image: many ECG machines print to PDF. pypdfium2 is imported only when one is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from edge_runtime.errors import UserError, shorten

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

# Longest side of the rendered page in pixels: 200 dots an inch on letter paper, the size PULSE's own pages have.
LONG_SIDE = 2200


def render_page(source: Path | bytes, page: int, name: str, long_side: int = LONG_SIDE) -> Image.Image:
    """Page `page` (from 1) on white, RGB, long_side pixels long. name: for messages.

    Raises UserError when the file is damaged or locked, the page does not exist, or pypdfium2 is not installed.
    """
    with _opened(source, name) as document:
        if page > len(document):
            raise UserError(f"{name}: has {len(document)} page(s), so page {page} does not exist")
        try:
            document.init_forms()  # without it, what stands in fields and stamps is not drawn
            sheet = document[page - 1]
            scale = long_side / max(*sheet.get_size(), 1.0)
            return sheet.render(scale=scale).to_pil().convert("RGB")
        except RuntimeError as error:  # pypdfium2's own is one
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
        reason = shorten(str(error))
        raise UserError(f"{name}: the PDF cannot be opened ({reason}); save it again, without a password") from None
    try:
        yield document
    finally:
        document.close()
