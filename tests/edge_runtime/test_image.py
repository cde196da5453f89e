"""Every kind of picture a phone, scanner or printer makes, and every way a file can be bad."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from edge_runtime import image as pictures
from edge_runtime.errors import UserError
from edge_runtime.image import load, to_rgb


def saved(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height, depth=1, colour=0, rows=b""):
    """A PNG of zeros, made without holding its pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    row = bytes(1 + (width * depth + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.fixture
def photo():
    """RGB with a different colour in each corner, so that any turn shows."""
    array = np.full((64, 96, 3), 200, np.uint8)
    array[:32, :48], array[:32, 48:], array[32:, :48] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return Image.fromarray(array)


def corners(picture):
    w, h = picture.size
    spots = ((5, 5), (w - 6, 5), (5, h - 6), (w - 6, h - 6))
    return [tuple(int(v > 128) for v in picture.getpixel(spot)) for spot in spots]


RED, GREEN, BLUE, GREY = (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_formats(photo, kind, tmp_path):
    data = saved(photo, kind)
    (tmp_path / "photo").write_bytes(data)
    for source in (data, tmp_path / "photo", str(tmp_path / "photo")):
        picture = load(source)
        assert (picture.mode, picture.size) == ("RGB", (96, 64))
        assert corners(picture) == [RED, GREEN, BLUE, GREY]


@pytest.mark.parametrize(
    ("orientation", "seen"),
    [
        (1, [RED, GREEN, BLUE, GREY]),
        (2, [GREEN, RED, GREY, BLUE]),
        (3, [GREY, BLUE, GREEN, RED]),
        (4, [BLUE, GREY, RED, GREEN]),
        (5, [RED, BLUE, GREEN, GREY]),
        (6, [BLUE, RED, GREY, GREEN]),
        (7, [GREY, GREEN, BLUE, RED]),
        (8, [GREEN, GREY, RED, BLUE]),
        (99, [RED, GREEN, BLUE, GREY]),
    ],
)
def test_exif_orientation(photo, orientation, seen):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        picture = load(saved(photo, kind, exif=exif))
        assert corners(picture) == seen, kind
        assert picture.size == ((64, 96) if 5 <= orientation <= 8 else (96, 64)), kind


def test_broken_exif_does_not_hide_the_picture(photo):
    data = saved(photo, "JPEG", exif=b"Exif\0\0garbage that is no TIFF header")
    assert corners(load(data)) == [RED, GREEN, BLUE, GREY]


def test_what_is_transparent_lies_on_white_or_is_dropped_as_pulse_does():
    array = np.full((40, 40, 4), (10, 20, 30, 0), np.uint8)
    array[:20, :, 3] = 255
    array[20:30, :, 3] = 51
    data = saved(Image.fromarray(array), "PNG")
    assert [load(data).getpixel((0, y)) for y in (0, 25, 35)] == [(10, 20, 30), (206, 208, 210), (255, 255, 255)]
    assert [load(data, drop_alpha=True).getpixel((0, y)) for y in (0, 25, 35)] == [(10, 20, 30)] * 3
    grey = Image.merge("LA", [Image.new("L", (40, 40), 0), Image.new("L", (40, 40), 0)])
    grey.putpixel((9, 9), (0, 255))
    assert load(saved(grey, "PNG")).getpixel((0, 0)) == (255, 255, 255)
    assert to_rgb(Image.new("RGBa", (40, 40), (9, 9, 9, 255))).getpixel((0, 0)) == (9, 9, 9)


def test_palette_with_transparency(photo):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        painted = photo.quantize(8)
        alphas = bytearray(8)
        alphas[painted.getpixel((0, 0))] = 255
        data = saved(painted, "PNG", transparency=bytes(alphas))
        assert corners(load(data, drop_alpha=True)) == [RED, GREEN, BLUE, GREY]
        assert corners(load(data)) == [RED, *[GREY] * 3]  # white shows through


def test_black_and_white_scan():
    scan = Image.new("1", (40, 40), 1)
    scan.putpixel((3, 4), 0)
    for kind in ("PNG", "TIFF"):
        picture = load(saved(scan, kind))
        assert (picture.getpixel((3, 4)), picture.getpixel((0, 0))) == ((0, 0, 0), (255, 255, 255))


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_fewer_bits_in_16_are_as_bright(bits):
    ramp = np.tile(np.linspace(0, 2**bits - 1, 64).astype(np.uint16), (40, 1))
    got = np.asarray(load(saved(Image.fromarray(ramp), "TIFF")))[0, :, 0]
    np.testing.assert_array_equal(got, ramp[0] >> (bits - 8))
    assert (got.min(), got.max()) == (0, 255)


def test_heic_and_avif(photo):
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(photo).save(buffer, format="HEIF", quality=100)
    for data in (buffer.getvalue(), saved(photo, "AVIF", quality=100)):
        picture = load(data)
        assert (picture.mode, picture.size) == ("RGB", (96, 64))
        for got, want in zip(corners(picture), [RED, GREEN, BLUE, GREY], strict=True):
            assert np.abs(np.subtract(got, want)).max() < 12


def test_a_heic_picture_without_its_extra_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UserError, match=r"the picture: a HEIC picture needs the extra heif \(pip install"):
        load(bytes(3) + b"\x1cftypheic" + bytes(40))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"GIF89a", "is a GIF"),
        (b"II+\0", "is a BigTIFF"),
        (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
        (b"\0\0\0\x0cjP  ", "is a JPEG 2000 picture"),
        (b"<svg>", "is an XML or SVG file"),
    ],
)
def test_kinds_that_are_not_read_are_named(data, what):
    with pytest.raises(UserError, match=what):
        load(data)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_greys(kind):
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (40, 1))
    got = np.asarray(load(saved(Image.fromarray(ramp), kind)))[0, :, 0]
    np.testing.assert_array_equal(got, ramp[0] >> 8)
    assert len(set(got)) > 50


def test_cmyk_jpeg():
    paper = Image.new("CMYK", (40, 40), (0, 0, 0, 0))
    red = Image.new("CMYK", (40, 40), (0, 255, 255, 0))
    assert min(load(saved(paper, "JPEG")).getpixel((9, 9))) > 250
    r, g, b = load(saved(red, "JPEG")).getpixel((9, 9))
    assert r > 240
    assert max(g, b) < 20


def test_sample_types_without_a_meaning_are_refused():
    for mode in ("F", "I"):
        with pytest.raises(UserError, match=f"the picture: pictures of Pillow mode {mode} .* 8-bit PNG"):
            load(saved(Image.new(mode, (40, 40)), "TIFF"))


def test_jpeg_is_decoded_no_larger_than_needed():
    data = saved(Image.new("RGB", (4000, 3000), "white"), "JPEG")
    assert load(data, draft=(1000, 700)).size == (1000, 750)
    assert load(data, draft=(1001, 700)).size == (2000, 1500)
    assert load(data).size == (4000, 3000)


def test_large_jpeg_is_shrunk_even_without_a_wish(monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1_000_000)
    monkeypatch.setattr(pictures, "_DEFAULT_SIDE", 500)
    data = saved(Image.new("RGB", (2000, 1500), "white"), "JPEG")
    assert load(data).size == (1000, 750)
    progressive = saved(Image.new("RGB", (2000, 1500), "white"), "JPEG", progressive=True)
    with pytest.raises(UserError, match="2000x1500 pixels, above the limit"):
        load(progressive)


def test_pages_of_a_tiff():
    pages = [Image.new("L", (40, 40), grey) for grey in (10, 20, 30)]
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert [load(data, page=n).getpixel((0, 0))[0] for n in (None, 1, 2, 3)] == [10, 10, 20, 30]
    with pytest.raises(UserError, match=r"has 3 page\(s\), so page 4 does not exist"):
        load(data, page=4)


def test_paths_that_are_no_pictures(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="does not exist; give the path"):
        load(tmp_path / "absent.png")
    with pytest.raises(UserError, match="is a folder"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="is not a file"):
        load(tmp_path / "pipe")
    (tmp_path / "text.png").write_text("P wave, QRS, T wave")
    with pytest.raises(UserError, match="is not a picture this program reads; give a PNG"):
        load(tmp_path / "text.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(UserError, match="is empty"):
        load(tmp_path / "empty.png")
    monkeypatch.setattr(pictures, "MAX_BYTES", 3)
    with pytest.raises(UserError, match="is larger than"):
        load(tmp_path / "text.png")


def test_unreadable_file(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"x")

    def deny(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", deny)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\)"):
        load(tmp_path / "a.png")


def test_memory_that_runs_out_is_said(photo, monkeypatch):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(pictures, "to_rgb", exhausted)
    with pytest.raises(UserError, match="not enough memory"):
        load(saved(photo, "PNG"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9])
def test_cut_off_files(kind, kept):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    data = saved(noise, kind)
    with pytest.raises(UserError, match="damaged or cut off") as error:
        load(data[: int(kept * len(data))])
    assert "\n" not in str(error.value)


def test_damaged_compressed_tiff_is_one_line_on_stderr(photo, capfd):
    data = bytearray(saved(photo, "TIFF", compression="tiff_lzw"))
    data[20:60] = bytes(40)
    with pytest.raises(UserError, match="damaged or cut off"):
        load(bytes(data))
    os.write(2, b"still open")
    assert capfd.readouterr().err == "still open"


def test_tiff_without_a_stderr_to_keep_clean(photo, monkeypatch):
    whole = os.fstat

    def closed(descriptor):
        if descriptor == 2:
            raise OSError(9, "Bad file descriptor")
        return whole(descriptor)

    monkeypatch.setattr(os, "fstat", closed)
    assert corners(load(saved(photo, "TIFF"))) == [RED, GREEN, BLUE, GREY]


@pytest.mark.parametrize("size", [(1, 1), (31, 500), (500, 31)])
def test_too_small(size):
    with pytest.raises(UserError, match=f"is {size[0]}x{size[1]} pixels, too small"):
        load(saved(Image.new("RGB", size), "PNG"))


def test_caller_s_warnings_are_left_alone(photo):
    before = list(warnings.filters)
    load(saved(photo, "PNG"))
    assert warnings.filters == before


def test_huge_png_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(png(20_000, 20_000))
    code = (
        "import resource, sys\n"
        "from edge_runtime.image import load\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    load(sys.argv[1])\n"
        "except ValueError as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    message, grown_kib = run.stdout.splitlines()
    assert "20000x20000 pixels, above the limit of 40 megapixels" in message
    # Decoded it would be 400 MB in its own mode and 1.2 GB as RGB.
    assert int(grown_kib) < 32 * 1024
    assert run.stderr == ""


def test_200_megapixel_photo_stays_small(tmp_path):
    path = tmp_path / "photo.jpg"
    # 16,320 x 12,240: what today's phones save. One grey, so that it is made fast.
    Image.new("L", (16_320, 12_240), 128).save(path, quality=20)
    code = (
        "import resource, sys\n"
        "from edge_runtime.image import load\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(*load(sys.argv[1], draft=(1088, 1088)).size)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code, path], capture_output=True, text=True, check=True)
    size, grown_kib = run.stdout.splitlines()
    assert size == "2040 1530"
    assert int(grown_kib) < 64 * 1024
