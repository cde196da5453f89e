"""Pictures of 16 bits a sample, of which Pillow keeps only the upper byte of colours and minds neither a grey that is
written inverted nor a transparent colour: scanners store 10 or 12 bits in 16, and such a page would be nearly black."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from edge_runtime.errors import UserError

_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # TIFF 6.0, section 8
_FULL = 1 << 15  # a sample with this bit is one of all 16 bits
# Pillow's name of how samples lie in the file -> the mode and the name that give their other byte.
_LOWER = {f"{kind};16{order}": (kind, f"{kind};16{other}")
          for kind in ("RGB", "RGBA") for order, other in (("B", "L"), ("L", "B"), ("N", "B"))}  # fmt: skip
_PLANES = "16-bit samples that lie in planes are not supported; save it as an 8-bit PNG"


def narrowed(
    picture: ImageFile.ImageFile,
    tiles: Sequence[Any],
    again: Callable[[], ImageFile.ImageFile],
    drop_alpha: bool = False,
) -> Image.Image:
    """A loaded picture whose 16-bit samples are brought to 8 by the bits that they use; any other as it is.

    tiles: the picture's before it was loaded; again: opens the same picture once more. A colour that is marked as
    transparent becomes white unless drop_alpha. Raises UserError for samples in planes, which Pillow misreads.
    """
    clear = None if drop_alpha else picture.info.get("transparency")
    if picture.mode.startswith("I;16"):
        grey = np.asarray(picture)
        inverted = getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        return picture if clear is None and not inverted else _scaled(grey[..., None], clear, inverted)
    stored = {_stored(tile) for tile in tiles}
    if stored & set("RGBA") and max(getattr(picture, "tag_v2", {}).get(_BITS, (8,))) > 8:
        raise UserError(_PLANES)
    if not any(";16" in one for one in stored) or (clear is None and _widest(picture) >= _FULL >> 8):
        return picture
    if stored == {"LA;16B"}:
        pairs = np.asarray(_decoded(again(), "RGBA", "RGBA"), np.uint16)
        return _scaled(pairs[..., ::2] << 8 | pairs[..., 1::2], None)
    mode, lower = _LOWER.get(min(stored), ("", "")) if len(stored) == 1 else ("", "")
    if mode != picture.mode:
        raise UserError(_PLANES)
    low = np.asarray(_decoded(again(), mode, lower), np.uint16)
    return _scaled(np.asarray(picture, np.uint16) << 8 | low, clear)


def _stored(tile: Any) -> str:
    args = tile[3]
    return str(args[0] if isinstance(args, tuple) else args)


def _widest(picture: Image.Image) -> int:
    return max(high for _, high in np.reshape(picture.getextrema(), (-1, 2)))


def _decoded(picture: ImageFile.ImageFile, mode: str, stored: str) -> Image.Image:
    picture._mode = mode
    picture.tile = [tile._replace(args=(stored, *tile[3][1:]) if isinstance(tile[3], tuple) else stored)
                    for tile in picture.tile]  # fmt: skip
    picture.load()
    return picture


def _scaled(samples: np.ndarray, clear: Any, inverted: bool = False) -> Image.Image:
    """Samples [h, w, 1 to 4] of up to 16 bits as a picture of 8; clear: the colour that is transparent."""
    # Of a picture whose ground is a transparent colour the ink alone says nothing of the bits.
    bits = 16 if clear is not None else max(8, int(samples.max()).bit_length())
    seen = (1 << bits) - 1 - samples if inverted else samples
    narrow = (seen >> bits - 8).astype(np.uint8)
    if clear is not None:
        narrow[(samples == np.asarray(clear)).all(axis=2)] = 255
    return Image.fromarray(narrow[..., 0] if narrow.shape[2] == 1 else narrow)
