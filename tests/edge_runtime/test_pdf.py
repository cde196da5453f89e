"""PDF pages, which many ECG machines print to."""

from __future__ import annotations

import io
import sys

import pytest
from PIL import Image

from edge_runtime.errors import UserError
from edge_runtime.image import load

RED, GREEN = (1, 0, 0), (0, 1, 0)


@pytest.fixture
def pdf(tmp_path):
    pages = [Image.new("RGB", (220, 170), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    path = tmp_path / "ECG.PDF"
    buffer = io.BytesIO()
    pages[0].save(buffer, "PDF", save_all=True, append_images=pages[1:])
    path.write_bytes(buffer.getvalue())
    return path


def colour(picture):
    return tuple(int(v > 128) for v in picture.getpixel((900, 900)))


def test_pdf_pages(pdf):
    assert (load(pdf).mode, load(pdf).size) == ("RGB", (2200, 1700))
    assert colour(load(pdf)) == RED
    assert colour(load(f"{pdf}#2")) == GREEN
    assert colour(load(f"{pdf}#2", page=1)) == RED
    assert colour(load(pdf.read_bytes(), page=2)) == GREEN
    assert colour(load(b"junk\n" + pdf.read_bytes())) == RED


def pdf_of(objects, trailer=b""):
    body = b"%PDF-1.7\n" + b"".join(b"%d 0 obj\n%s\nendobj\n" % (k, o) for k, o in enumerate(objects, 1))
    count = len(objects) + 1
    places = b"".join(b"%010d 00000 n \n" % body.index(b"%d 0 obj" % k) for k in range(1, count))
    table = b"xref\n0 %d\n0000000000 65535 f \n" % count + places
    end = b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (count, trailer, len(body))
    return body + table + end


def one_page(kids=b"[3 0 R]", more=b""):
    drawing = b"1 0 0 rg 0 0 110 85 re f"
    return [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids %s /Count %d >>" % (kids, len(kids) > 2),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 220 170] /Contents 4 0 R %s >>" % more,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing),
    ]


@pytest.mark.parametrize(("turned", "at"), [(0, (99, 1599)), (90, (99, 99)), (180, (2099, 99)), (270, (1599, 2099))])
def test_a_page_is_turned_as_it_says(turned, at):
    page = load(pdf_of(one_page(more=b"/Rotate %d" % turned)))
    corners = [(x, y) for x in (99, page.width - 101) for y in (99, page.height - 101)]
    red = [corner for corner in corners if page.getpixel(corner) == (255, 0, 0)]
    assert red == [at]


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (b"/Filter /Standard /V 1 /R 2", "is locked with a password; save it again without one"),
        (b"/Filter /Some.Other /V 1 /R 2", "damaged or encrypted in a way that is not read; print it into a new one"),
    ],
)
def test_locked_pdfs_are_named(version, says):
    lock = b"<< %s /O <%s> /U <%s> /P -44 >>" % (version, b"11" * 32, b"22" * 32)  # no password fits
    with pytest.raises(UserError, match=says):
        load(pdf_of([*one_page(), lock], b"/Encrypt 5 0 R /ID [<00><00>]"))


def test_pages_that_are_not_there_or_lie_outside_are_named():
    with pytest.raises(UserError, match="it is damaged or has no pages; copy or save it again"):
        load(pdf_of(one_page(kids=b"[]")))
    with pytest.raises(UserError, match="page 1 cannot be drawn"):
        load(pdf_of(one_page(more=b"/CropBox [500 500 600 600]")))


def test_what_stands_in_a_form_field_is_drawn():
    drawing = b"0 1 0 rg 0 0 180 130 re f"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [4 0 R] >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 220 170] /Annots [4 0 R] >>",
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (lead) /Rect [20 20 200 150] /F 4 /P 3 0 R /AP << /N 5 0 R >> >>",
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 180 130] /Length %d >>\nstream\n%s\nendstream"
        % (len(drawing), drawing),
    ]
    assert colour(load(pdf_of(objects))) == GREEN


def test_bad_pdfs(pdf):
    with pytest.raises(UserError, match=r"has 2 page\(s\), so page 3 does not exist"):
        load(f"{pdf}#3")
    with pytest.raises(UserError, match="pages count from 1"):
        load(f"{pdf}#0")
    with pytest.raises(UserError, match="the PDF cannot be opened"):
        load(b"%PDF-1.7\nnothing more")


def test_pdf_without_pypdfium2_says_what_to_install(pdf, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(UserError, match="pip install pypdfium2"):
        load(pdf)


def test_file_with_a_number_sign_in_its_name(pdf, tmp_path):
    (tmp_path / "odd.pdf#2").write_bytes(pdf.read_bytes())
    assert colour(load(tmp_path / "odd.pdf#2")) == RED


def test_page_that_cannot_be_drawn_is_named(pdf, monkeypatch):
    import pypdfium2

    def fail(*_, **__):
        raise pypdfium2.PdfiumError("no bitmap")

    monkeypatch.setattr(pypdfium2.PdfPage, "render", fail)
    with pytest.raises(UserError, match=r"page 2 cannot be drawn \('no bitmap'\); save the PDF again"):
        load(pdf, page=2)
