"""The picture in a DICOM file: a scan (secondary capture), or the PDF that a recorder wrote. pydicom is imported only
when one is opened."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.errors import UserError, shorten
from edge_runtime.pdf import render_page


def picture_of(source: Path | bytes, page: int, name: str, most: int) -> Image.Image:
    """The picture, RGB, of a DICOM file; page: of its PDF, or its frame, from 1. name: for messages. most: pixels.

    Raises UserError when it is damaged or holds no picture, the page does not exist, or pydicom is not installed.
    """
    try:
        import pydicom
        from pydicom.pixels.utils import pixel_array
    except ImportError:
        raise UserError(f"{name}: a DICOM file needs the extra ecg; pip install 'pulse-edge[ecg]'") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about fields that are not needed here
        try:
            data = pydicom.dcmread(io.BytesIO(source) if isinstance(source, bytes) else source)
            document, frames = data.get("EncapsulatedDocument"), int(data.get("NumberOfFrames") or 1)
            size = int(data.get("Rows") or 0) * int(data.get("Columns") or 0)
            pixels = None
            if document is None and "PixelData" in data and page <= frames and size <= most:
                pixels = pixel_array(data, index=page - 1)
        except Exception as error:  # pydicom raises whatever a damaged file or an unknown compression trips over
            reason = shorten(" ".join(str(error).split()), 100)
            raise UserError(f"{name}: cannot be read as DICOM ({reason}); export it again") from None
    if document is not None:
        return render_page(bytes(document), page, name)
    if size == 0:
        raise UserError(f"{name}: is a DICOM file without a picture; a waveform is a record, which pulse-page draws")
    if page > frames:
        raise UserError(f"{name}: has {frames} frame(s), so page {page} does not exist")
    if pixels is None:
        raise UserError(
            f"{name}: has {size} pixels, above the limit of {most // 1_000_000} megapixels; save it smaller"
        )
    return _eight_bits(pixels, data.get("PhotometricInterpretation") == "MONOCHROME1")


def _eight_bits(pixels: np.ndarray, inverted: bool) -> Image.Image:
    """Grey [H, W] or colour [H, W, 3], of as many bits as it uses."""
    values = pixels.astype(np.int64) - min(0, int(pixels.min()))
    values >>= max(0, int(values.max()).bit_length() - 8)
    grey = values.astype(np.uint8)
    return Image.fromarray(255 - grey if inverted else grey).convert("RGB")
