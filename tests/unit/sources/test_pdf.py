from pathlib import Path

import pytest

from luthier.core.errors import SourceError
from luthier.sources import Record
from luthier.sources.pdf import read_pdf

IMAGE = (
    b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 /Length 1 >>"
    b"\nstream\n0\nendstream"
)
PICTURE = "/Im0 Do"


def pdf(pages: list[str], trailer: bytes = b"") -> bytes:
    """A PDF of pages with these lines of text; `PICTURE` is a page of an image alone."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        IMAGE,
    ]
    kids = []
    for text in pages:
        shown = " T* ".join(f"({line}) Tj" for line in text.split("\n"))
        stream = (PICTURE if text == PICTURE else f"BT /F1 12 Tf 14 TL 72 720 Td {shown} ET" if text else "").encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        resources = b"<< /XObject << /Im0 4 0 R >> >>" if text == PICTURE else b"<< /Font << /F1 3 0 R >> >>"
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources %s >>"
            % (len(objects), resources)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    content, places = b"%PDF-1.4\n", []
    for number, entry in enumerate(objects, start=1):
        places.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, entry)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return (
        content
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n"
        % (
            size,
            table,
            size,
            trailer,
            len(content),
        )
    )


def records(folder: Path, content: bytes) -> list[Record]:
    path = folder / "t.pdf"
    path.write_bytes(content)
    return list(read_pdf(path, "t.pdf"))


def refused(folder: Path, content: bytes) -> str:
    with pytest.raises(SourceError) as refusal:
        records(folder, content)
    return str(refusal.value)


def test_a_page_is_a_record_and_broken_lines_are_joined(tmp_path: Path) -> None:
    first, third = records(
        tmp_path, pdf(["Returns are free for thir-\nty days, and you\nneed no reason.\nBye.", "", "End."])
    )
    assert first.fields == {"body": "Returns are free for thirty days, and you need no reason.\nBye."}
    assert (third.origin.row, third.fields["body"]) == (3, "End.")


def test_running_headers_and_page_numbers_are_left_out(tmp_path: Path) -> None:
    pages = [
        f"Handbook 2025\nText of part {word}.\nMore of {word}.\nPage {n}" for n, word in enumerate("abcde", start=1)
    ]
    assert [record.fields["body"] for record in records(tmp_path, pdf(pages))] == [
        f"Text of part {word}.\nMore of {word}." for word in "abcde"
    ]


def test_a_page_of_a_picture_is_unreadable_and_does_not_spoil_the_rest(tmp_path: Path) -> None:
    text, picture = records(tmp_path, pdf(["Some text.", PICTURE]))
    assert text.error is None
    assert (picture.error, picture.alone) == ("page 2 has no text, only pictures", True)


def test_a_pdf_without_text_is_told(tmp_path: Path) -> None:
    assert refused(tmp_path, pdf([PICTURE, PICTURE])) == (
        "t.pdf: no page has text: page 1 has no text, only pictures (run text recognition (OCR) on it first)"
    )
    assert refused(tmp_path, pdf([""])) == "t.pdf: no page has text"


def test_a_locked_pdf_is_refused(tmp_path: Path) -> None:
    from pypdf import PdfReader, PdfWriter

    (tmp_path / "open.pdf").write_bytes(pdf(["Secret."]))
    writer = PdfWriter(clone_from=PdfReader(tmp_path / "open.pdf"))
    writer.encrypt("user", algorithm="RC4-128")
    writer.write(tmp_path / "locked.pdf")
    assert refused(tmp_path, (tmp_path / "locked.pdf").read_bytes()) == (
        "t.pdf: is protected with a password (save a copy without one)"
    )


@pytest.mark.parametrize("content", [b"%PDF-1.4\nnothing", b"no pdf at all", pdf(["Text."])[:200]])
def test_a_damaged_pdf_is_told(tmp_path: Path, content: bytes) -> None:
    assert refused(tmp_path, content).startswith("t.pdf: ")
