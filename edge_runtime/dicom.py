"""The picture in a DICOM file: a scan (secondary capture), or the PDF that a recorder wrote. pydicom is imported only
when one is opened."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from edge_runtime.errors import UserError, shorten
from edge_runtime.pdf import render_page

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def picture_of(source: Path | bytes, page: int, name: str, most: int) -> Image.Image:
    """The picture, RGB, of a DICOM file; page: of its PDF, or its frame, from 1. name: for messages. most: pixels.

    Raises UserError when it is damaged or holds no picture, the page does not exist, or pydicom is not installed.
    """
    data = _read(source, name)
    document, frames = _pages(data)
    if document is not None:
        return render_page(document, page, name)
    size = int(data.get("Rows") or 0) * int(data.get("Columns") or 0)
    if size == 0 or "PixelData" not in data:
        raise UserError(f"{name}: is a DICOM file without a picture; a waveform is a record, which pulse-page draws")
    if page > frames:
        raise UserError(f"{name}: has {frames} frame(s), so page {page} does not exist")
    if size > most:
        raise UserError(
            f"{name}: has {size} pixels, above the limit of {most // 1_000_000} megapixels; save it smaller"
        )
    return _eight_bits(_pixels(data, page, name), data.get("PhotometricInterpretation") == "MONOCHROME1")


def pages_of(source: Path | bytes, name: str) -> tuple[bytes | None, int]:
    """The PDF inside, if any, and how many frames its picture has. Raises UserError as picture_of does."""
    return _pages(_read(source, name, stop_before_pixels=True))


def _pages(data: Dataset) -> tuple[bytes | None, int]:
    document = data.get("EncapsulatedDocument")
    return None if document is None else bytes(document), int(data.get("NumberOfFrames") or 1)


def _read(source: Path | bytes, name: str, stop_before_pixels: bool = False) -> Dataset:
    try:
        import pydicom
    except ImportError:
        raise UserError(f"{name}: a DICOM file needs the extra ecg; pip install 'pulse-edge[ecg]'") from None
    with _named(name):
        return pydicom.dcmread(
            io.BytesIO(source) if isinstance(source, bytes) else source, stop_before_pixels=stop_before_pixels
        )


def _pixels(data: Dataset, page: int, name: str) -> np.ndarray:
    """Grey [H, W] or colour [H, W, 3]."""
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    with _named(name):
        pixels = pixel_array(data, index=page - 1)
        palette = data.get("PhotometricInterpretation") == "PALETTE COLOR"
        return apply_color_lut(pixels, data) if palette else pixels


@contextmanager
def _named(name: str) -> Iterator[None]:
    """pydicom raises whatever a damaged file or an unknown compression trips over, and warns about odd fields."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:
            reason = shorten(" ".join(str(error).split()), 100)
            raise UserError(f"{name}: cannot be read as DICOM ({reason}); export it again") from None


def _eight_bits(pixels: np.ndarray, inverted: bool) -> Image.Image:
    """Grey [H, W] or colour [H, W, 3], of as many bits as it uses."""
    values = pixels.astype(np.int64) - min(0, int(pixels.min()))
    values >>= max(0, int(values.max()).bit_length() - 8)
    grey = values.astype(np.uint8)
    return Image.fromarray(255 - grey if inverted else grey).convert("RGB")
