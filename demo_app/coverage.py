"""Which characters a font file has, read from its own tables in a millisecond: a phone has hundreds of fonts.

Format: the table `cmap` of OpenType, subtables 4 and 12 (https://learn.microsoft.com/typography/opentype/spec/cmap).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

_MOST_TABLES = 64


@dataclass(frozen=True)
class Coverage:
    """starts, ends: the first and last code points of ranges, in order, both of them in the font. pictures: its glyphs
    are bitmaps in colours, which cannot be drawn as letters of any size."""

    starts: np.ndarray
    ends: np.ndarray
    pictures: bool = False

    def __contains__(self, code: int) -> bool:
        at = int(np.searchsorted(self.starts, code, "right")) - 1
        return at >= 0 and code <= int(self.ends[at])

    @cached_property
    def known(self) -> frozenset[str]:
        """Every character."""
        return frozenset(chr(c) for a, b in zip(self.starts, self.ends, strict=True) for c in range(a, b + 1))


_NONE = Coverage(np.zeros(0, np.int64), np.zeros(0, np.int64))


@cache
def coverage(path: Path) -> Coverage:
    """Of a font file, the first of a collection; of one that is damaged or cannot be drawn with, nothing."""
    try:
        with open(path, "rb") as file:
            head = file.read(16)
            at = struct.unpack(">I", head[12:16])[0] if head[:4] == b"ttcf" else 0
            file.seek(at)
            count = min(struct.unpack(">4xH6x", file.read(12))[0], _MOST_TABLES)
            tables = {}
            for _ in range(count):
                tag, begin, length = struct.unpack(">4s4xII", file.read(16))
                tables[tag] = (begin, length)
            if b"COLR" in tables:
                file.seek(tables[b"COLR"][0])
                if file.read(2) != b"\0\0":  # version 1: colours that neither SDL nor Pillow draws
                    return _NONE
            file.seek(tables[b"cmap"][0])
            codes = _codes(file.read(tables[b"cmap"][1]))
    except (OSError, KeyError, struct.error, ValueError, IndexError):
        return _NONE
    pictures = not {b"glyf", b"CFF ", b"CFF2"} & tables.keys()
    return _ranges(codes, pictures) if len(codes) else _NONE


def _codes(cmap: bytes) -> np.ndarray:
    """Code points of all Unicode subtables, sorted."""
    found = [np.zeros(0, np.int64)]
    for k in range(struct.unpack(">2xH", cmap[:4])[0]):
        platform, encoding, at = struct.unpack(">HHI", cmap[4 + 8 * k : 12 + 8 * k])
        if platform == 0 or (platform == 3 and encoding in (1, 10)):
            form = struct.unpack(">H", cmap[at : at + 2])[0]
            found.append(_format_4(cmap[at:]) if form == 4 else _format_12(cmap[at:]) if form == 12 else found[0])
    return np.unique(np.concatenate(found))


def _format_4(table: bytes) -> np.ndarray:
    """Segments of code points; an array of glyphs may say that some of a segment's are missing."""
    twice = struct.unpack(">H", table[6:8])[0]
    words = np.frombuffer(table[: len(table) // 2 * 2], ">u2").astype(np.int64)
    count = twice // 2
    ends, starts, deltas, offsets = (words[at : at + count] for at in (7, 8 + count, 8 + 2 * count, 8 + 3 * count))
    found = [np.zeros(0, np.int64)]
    for k, (start, end, delta, offset) in enumerate(zip(starts, ends, deltas, offsets, strict=True)):
        codes = np.arange(start, end + 1)
        if offset:
            places = 8 + 3 * count + k + offset // 2 + codes - start
            codes, places = codes[places < len(words)], places[places < len(words)]
            codes = codes[words[places] != 0]
        else:
            codes = codes[(codes + delta) % 65536 != 0]
        found.append(codes[codes < 0xFFFF])
    return np.concatenate(found)


def _format_12(table: bytes) -> np.ndarray:
    """Groups of code points whose glyphs follow each other."""
    count = struct.unpack(">I", table[12:16])[0]
    groups = np.frombuffer(table[16 : 16 + 12 * count], ">u4").reshape(-1, 3).astype(np.int64)
    groups = groups[(groups[:, 1] < 0x110000) & (groups[:, 0] <= groups[:, 1])]
    if int((groups[:, 1] - groups[:, 0] + 1).sum()) > 0x110000:
        raise ValueError("groups overlap")
    codes = [np.arange(a, b + 1)[int(glyph == 0) :] for a, b, glyph in groups]  # glyph 0 is the box itself
    return np.concatenate([np.zeros(0, np.int64), *codes])


def _ranges(codes: np.ndarray, pictures: bool) -> Coverage:
    breaks = np.flatnonzero(np.diff(codes) > 1)
    starts, ends = np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(codes) - 1]])
    return Coverage(codes[starts], codes[ends], pictures)
