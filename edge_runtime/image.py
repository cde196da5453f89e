"""Any picture of an ECG page to RGB, whatever a phone, scanner or hospital system wrote, in bounded memory."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import IO

import numpy as np
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from edge_runtime.deep import narrowed
from edge_runtime.dicom import picture_of
from edge_runtime.errors import UserError, shorten
from edge_runtime.pdf import render_page
from edge_runtime.quiet import stderr_apart

MIN_SIDE = 32
MAX_PIXELS = 40_000_000
MAX_BYTES = 512 << 20
# Without a wish of the caller, pictures are kept at the size at which a page's finest line is still three pixels wide.
_DEFAULT_SIDE = 4096


def _heic(file: IO[bytes]) -> ImageFile.ImageFile:
    try:
        from pillow_heif import HeifImageFile  # an extra: it bundles libheif and its decoders
    except ImportError:
        raise UserError("a HEIC picture needs the extra heif (pip install 'pulse-edge[heif]'); or save JPEG") from None
    picture: ImageFile.ImageFile = HeifImageFile(file)
    return picture


def _avif(file: IO[bytes]) -> ImageFile.ImageFile:
    try:
        from PIL.AvifImagePlugin import AvifImageFile
    except ImportError:
        raise UserError("an AVIF picture needs Pillow 11.3 or later (pip install -U pillow); or save a JPEG") from None
    return AvifImageFile(file)


# The plug-ins are called directly: Image.open would also try formats we do not want to be fed, and it holds 200 MP
# photos for bombs, which a process-wide switch alone could change.
_FORMATS: tuple[tuple[bytes, Callable[..., ImageFile.ImageFile]], ...] = (
    (rb"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (rb"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (rb"RIFF....WEBP", WebPImagePlugin.WebPImageFile),
    (rb"II\*\0|MM\0\*", TiffImagePlugin.TiffImageFile),
    (rb"BM", BmpImagePlugin.BmpImageFile),
    (rb"....ftyp(heic|heix|heim|heis|hevc|mif1|msf1)", _heic),
    (rb"....ftyp(avif|avis)", _avif),
)
# Known kinds that are refused by name.
_NOT_READ = (
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (rb"II\+\0|MM\0\+", "a BigTIFF"),
    (rb"GIF8", "a GIF"),
    (rb"version https://git-lfs", "a Git LFS pointer, not the picture (git lfs pull fetches it)"),
    (rb"\s*<svg|\s*<\?xml", "an XML or SVG file"),
)
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load(
    source: str | os.PathLike[str] | bytes,
    page: int | None = None,
    draft: tuple[int, int] | None = None,
    drop_alpha: bool = False,
) -> Image.Image:
    """An upright RGB image, 8 bits a channel, from a PNG, JPEG, WebP, TIFF, BMP, AVIF or HEIC picture, a PDF page, or
    the DICOM file of either.

    source: a path (`file.pdf#2` is page 2, of a TIFF or DICOM file too), or the file's bytes. page: from 1; wins over
    the path's. edge_runtime.pages counts them.
    draft: a JPEG may be decoded smaller, as long as it stays at least this wide and high (pixels).
    A transparent picture lies on white, as viewers show it; drop_alpha leaves its colours as they are stored, as
    PULSE's own code does.
    Raises UserError for what is missing, damaged, too small (32x32) or too big to decode in bounded memory (40
    megapixels; a JPEG counts as it is after shrinking).
    """
    name, data, page = locate(source, page)
    if page is not None and page < 1:
        raise UserError(f"{name}: page {page} does not exist; pages count from 1")
    head, kind = head_of(data)
    if kind == "dicom":
        return _check_size(picture_of(data, page or 1, name, MAX_PIXELS), name)
    if kind == "pdf":
        return _check_size(render_page(data, page or 1, name), name)
    opener = next((opener for magic, opener in _FORMATS if re.match(magic, head, re.DOTALL)), None)
    if opener is None:
        named = next((f"is {what}" for magic, what in _NOT_READ if re.match(magic, head, re.DOTALL)), None)
        kind = named or ("is empty" if not head else "is not a picture this program reads")
        raise UserError(f"{name}: {kind}; give a PNG, JPEG, WebP, TIFF, BMP, AVIF, HEIC, PDF or DICOM file")
    with warnings.catch_warnings():
        # Pillow warns about odd metadata; what matters is checked here.
        warnings.simplefilter("ignore")
        try:
            with io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb") as file:
                return _decode(lambda: _opened(opener, file, name), name, page or 1, draft, drop_alpha)
        except UserError:
            raise
        except MemoryError:
            raise UserError(f"{name}: there is not enough memory to decode it; save it smaller") from None
        # Damaged files make Pillow raise nearly anything: OSError, SyntaxError, ValueError, struct.error, KeyError ...
        except Exception as error:
            raise UserError(f"{name}: is damaged or cut off ({shorten(str(error))}); copy or save it again") from None


def _opened(opener: Callable[..., ImageFile.ImageFile], file: IO[bytes], name: str) -> ImageFile.ImageFile:
    try:
        file.seek(0)
        return opener(file)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def to_rgb(image: Image.Image, drop_alpha: bool = False) -> Image.Image:
    """RGB, 8 bits a channel, what is transparent on white unless its alpha is dropped or hides all; 16-bit grey scaled
    by the bits that it uses (scanners store 10 or 12 in 16), palettes and CMYK resolved. Raises UserError."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I;16"):
        # Pillow would clip to 255 and so make the whole page white.
        grey = np.asarray(image)
        return Image.fromarray((grey >> max(0, int(grey.max()).bit_length() - 8)).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F", "LAB"):
        raise UserError(f"pictures of Pillow mode {image.mode} are not supported; save it as an 8-bit PNG")
    if image.mode in ("RGBa", "La"):
        image = image.convert({"RGBa": "RGBA", "La": "LA"}[image.mode])
    if drop_alpha or not image.has_transparency_data:
        return image.convert("RGB")
    inked = image.convert("RGBA")
    if inked.getchannel("A").getbbox() is None:
        return inked.convert("RGB")  # an alpha that was never filled in: nobody saves a picture to show nothing
    return Image.alpha_composite(Image.new("RGBA", inked.size, "white"), inked).convert("RGB")


def locate(source: str | os.PathLike[str] | bytes, page: int | None = None) -> tuple[str, bytes | Path, int | None]:
    """Name for messages, the file or its bytes, and the page asked for in the path. Raises UserError as load does."""
    if isinstance(source, bytes):
        return "the picture", source, page
    path = Path(source)
    numbered = re.fullmatch(r"(.+\.(?:pdf|tiff?|dcm))#(\d{1,6})", str(path), re.IGNORECASE | re.DOTALL)
    # A file may really be called that.
    if numbered and not os.path.lexists(path):
        path = Path(numbered[1])
        page = int(numbered[2]) if page is None else page
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "is not a file" if path.exists() else "does not exist"
        raise UserError(f"{path}: {kind}; give the path of a picture or PDF")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path}: is larger than {MAX_BYTES >> 20} MB; save it smaller")
    return str(path), path, page


def head_of(data: bytes | Path) -> tuple[bytes, str]:
    """The first kilobyte, and which kind with pages it is: "dicom", "pdf", "tiff", else "". Raises UserError."""
    try:
        with io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise UserError(f"{data!s}: cannot be read ({error.strerror})") from None
    # A PDF may have junk before its header; the format allows it within the first kilobyte.
    kinds = {"dicom": rb".{128}DICM", "pdf": rb".*%PDF-", "tiff": rb"II\*\0|MM\0\*"}
    return head, next((kind for kind, magic in kinds.items() if re.match(magic, head, re.DOTALL)), "")


def _decode(
    opened: Callable[[], ImageFile.ImageFile],
    name: str,
    page: int,
    draft: tuple[int, int] | None,
    drop_alpha: bool,
) -> Image.Image:
    picture = _at_page(opened(), name, page)
    # A progressive JPEG holds all its coefficients in memory, however small it is decoded.
    if picture.format == "JPEG" and not picture.info.get("progressive"):
        side = (_DEFAULT_SIDE, _DEFAULT_SIDE)
        if draft is not None or picture.width * picture.height > MAX_PIXELS:
            picture.draft(None, draft or side)
    _check_size(picture, name)
    tiles = list(picture.tile)
    with stderr_apart() if picture.format == "TIFF" else nullcontext():  # libtiff writes there
        picture.load()
        try:
            decoded = narrowed(picture, tiles, lambda: _at_page(opened(), name, page), drop_alpha)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
    try:
        # Asked after load(): a TIFF is turned by Pillow then, and no longer says so.
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
    # Unreadable EXIF says nothing about orientation; the picture itself may be fine.
    except Exception:
        turn = None
    try:
        rgb = to_rgb(decoded, drop_alpha)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    # A copy even if nothing changed: the file is closed on return.
    return rgb.transpose(turn) if turn is not None else rgb.copy() if rgb is picture else rgb


def _at_page(picture: ImageFile.ImageFile, name: str, page: int) -> ImageFile.ImageFile:
    frames = getattr(picture, "n_frames", 1)
    if page > frames:
        raise UserError(f"{name}: has {frames} page(s), so page {page} does not exist")
    if page > 1:
        picture.seek(page - 1)
    return picture


def _check_size(picture: Image.Image, name: str) -> Image.Image:
    width, height = picture.size
    if min(width, height) < MIN_SIDE:
        raise UserError(
            f"{name}: is {width}x{height} pixels, too small for a page; give at least {MIN_SIDE}x{MIN_SIDE}"
        )
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 1_000_000
        raise UserError(f"{name}: is {width}x{height} pixels, above the limit of {limit} megapixels; save it smaller")
    return picture
