"""Pictures of 16 bits a sample: all of their bits count, and what stands beside them in the file."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import UserError
from edge_runtime.image import load, to_rgb

COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG's number of each kind of sample
PAGE = np.full((40, 48, 3), 250, np.uint8)
PAGE[4:20, 4:20], PAGE[24:36, 30:44] = (200, 30, 30), (3, 20, 160)


def png(samples: np.ndarray, *chunks: bytes) -> bytes:
    """samples [h, w, 1 to 4] of 16 bits."""
    height, width, count = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", width, height, 16, COLOURS[count], 0, 0, 0)
    parts = [b"IHDR" + head, *chunks, b"IDAT" + zlib.compress(rows), b"IEND"]
    framed = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def tiff(samples: np.ndarray, photometric: int, order: str = "<", planes: int = 1) -> bytes:
    """samples [h, w, count] of 16 bits, without compression."""
    height, width, count = samples.shape
    stored = samples if planes == 1 else samples.transpose(2, 0, 1)
    data = stored.astype(f"{order}u2").tobytes()
    tags = 10 if count < 4 else 11
    lists = 8 + 2 + 12 * tags + 4
    part = lists + 2 * count
    if planes == 1:
        offsets, sizes = (4, 1, part + 8 * count), (4, 1, len(data))
    else:
        offsets, sizes = (4, count, part), (4, count, part + 4 * count)
    bits = (3, count, lists if count > 2 else 16)
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, *bits), (259, 3, 1, 1), (262, 3, 1, photometric)]
    entries += [(273, *offsets), (277, 3, 1, count), (278, 4, 1, height), (279, *sizes), (284, 3, 1, planes)]
    entries += [(338, 3, 1, 2)] if count == 4 else []
    packed = b"".join(
        struct.pack(f"{order}HHI", tag, kind, number)
        + (struct.pack(f"{order}HH", value, 0) if kind == 3 and number < 3 else struct.pack(f"{order}I", value))
        for tag, kind, number, value in entries
    )
    begin = part + 8 * count
    plane = len(data) // count
    numbers = [begin + k * plane for k in range(count)] + [plane] * count
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, tags)
    after = b"\0" * 4 + struct.pack(f"{order}{count}H", *[16] * count) + struct.pack(f"{order}{2 * count}I", *numbers)
    return head + packed + after + data


def deep(page: np.ndarray, bits: int) -> np.ndarray:
    return page.astype(np.uint16) << bits - 8 | page >> 16 - bits


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("kind", ["png", "tiff <", "tiff >"])
@pytest.mark.parametrize("alpha", [False, True])
def test_colours_of_fewer_bits_are_as_bright(bits: int, kind: str, alpha: bool) -> None:
    samples = deep(PAGE, bits)
    if alpha:
        ink = (PAGE < 250).any(axis=2)
        samples = np.dstack([samples * ink[..., None], ink * np.uint16((1 << bits) - 1)])
    data = png(samples) if kind == "png" else tiff(samples, 2, kind[-1])
    seen = np.where((PAGE < 250).any(axis=2)[..., None], PAGE, 255) if alpha else PAGE
    np.testing.assert_array_equal(load(data), seen)


@pytest.mark.parametrize("bits", [12, 16])
def test_grey_with_alpha(bits: int) -> None:
    grey, ink = PAGE[..., 1], PAGE[..., 1] < 250
    data = png(np.dstack([deep(grey, bits) * ink, ink * np.uint16((1 << bits) - 1)]))
    np.testing.assert_array_equal(load(data).getchannel("R"), np.where(ink, grey, 255))


@pytest.mark.parametrize("bits", [12, 16])
def test_grey_that_is_white_at_zero(bits: int) -> None:
    grey = deep(PAGE[..., :1], bits)
    np.testing.assert_array_equal(load(tiff((1 << bits) - 1 - grey, 0)).getchannel("R"), PAGE[..., 0])


@pytest.mark.parametrize("colours", [1, 3])
def test_a_colour_that_is_transparent_lies_on_white(colours: int) -> None:
    samples = deep(PAGE[..., :colours], 16)
    clear = samples[0, 0].copy()
    clear[-1] ^= 1  # the lower byte tells it from colours that are not transparent
    samples[:2] = clear
    data = png(samples, b"tRNS" + clear.astype(">u2").tobytes())
    seen = np.asarray(load(data))[..., :colours]
    assert (seen[:2] == 255).all()
    np.testing.assert_array_equal(seen[2:], PAGE[2:, :, :colours])
    np.testing.assert_array_equal(np.asarray(load(data, drop_alpha=True))[..., :colours], PAGE[..., :colours])


def test_planes_are_refused() -> None:
    with pytest.raises(UserError, match="picture: 16-bit samples that lie in planes are not supported; save it as"):
        load(tiff(deep(PAGE, 16), 2, planes=2))


def test_an_alpha_that_was_never_filled_in_hides_nothing() -> None:
    empty = Image.fromarray(np.dstack([PAGE, np.zeros(PAGE.shape[:2], np.uint8)]), "RGBA")
    np.testing.assert_array_equal(to_rgb(empty), PAGE)
    buffer = io.BytesIO()
    empty.save(buffer, "PNG")
    np.testing.assert_array_equal(load(buffer.getvalue()), PAGE)
