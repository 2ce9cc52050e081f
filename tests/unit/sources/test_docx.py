import zipfile
from pathlib import Path

import pytest

from luthier.core.errors import SourceError
from luthier.sources.docx import read_docx

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STYLES = f"""<w:styles xmlns:w="{WORD}">
<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="Own"><w:name w:val="Own"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
</w:styles>"""


def paragraph(text: str, style: str = "", extra: str = "") -> str:
    name = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{name}{extra}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def document(folder: Path, body: str, head: str = "") -> Path:
    path = folder / "t.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "word/document.xml", f'{head}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
        )
        archive.writestr("word/styles.xml", STYLES)
    return path


def read(path: Path) -> list[tuple[object, object]]:
    return [(record.fields["title"], record.fields["body"]) for record in read_docx(path, "t.docx")]


def test_sections_under_their_headings(tmp_path: Path) -> None:
    body = (
        paragraph("Before.")
        + paragraph("Handbook", "Title")
        + paragraph("Returns", "berschrift1", "<w:numPr/>")
        + paragraph("Thirty days &amp; more.")
        + paragraph("Refunds", "Own")
        + paragraph("One", extra="<w:numPr/>")
        + paragraph("Empty", "Heading3")
        + paragraph("Hours", "berschrift1")
        + paragraph("Nine to five.")
    )
    assert read(document(tmp_path, body)) == [
        ("", "Before."),
        ("Handbook > Returns", "Thirty days & more."),
        ("Handbook > Returns > Refunds", "- One"),
        ("Handbook > Hours", "Nine to five."),
    ]


def test_tables_breaks_and_deleted_text(tmp_path: Path) -> None:
    cell = "<w:tc>{}</w:tc>".format
    table = f"<w:tbl><w:tr>{cell(paragraph('Size'))}{cell(paragraph('Price') + paragraph('in £'))}</w:tr></w:tbl>"
    text = (
        "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r>"
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
        "<w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
    )
    assert read(document(tmp_path, table + text)) == [("", "Size | Price in £\n\na\tb\nc")]


def test_damaged_locked_and_hostile_files_are_told(tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(SourceError) as refusal:
            read(path)
        return str(refusal.value)

    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    assert "a document type is declared in it" in refused(document(tmp_path, paragraph("&b;"), bomb))
    assert "t.docx: is damaged: mismatched tag" in refused(document(tmp_path, "<w:p>"))
    path = tmp_path / "t.docx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "x")
    assert "is no Word document" in refused(path)
