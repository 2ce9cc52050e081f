from email.parser import BytesParser

import pytest

from luthier.sources.mail_parts import body_of, decoded, header_of


@pytest.mark.parametrize(
    ("content", "charset", "text"),
    [
        (b"gr\xc3\xbcn", "utf-8", "grün"),
        (b"gr\xfcn", "iso-8859-1", "grün"),
        (b"gr\xfcn", "utf-8", "grün"),
        (b"gr\xfcn", None, "grün"),
        (b"gr\xc3\xbcn", "x-unknown", "grün"),
    ],
)
def test_bytes_are_decoded_as_well_as_they_can(content: bytes, charset: str | None, text: str) -> None:
    assert decoded(content, charset) == text


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"Subject: plain", "plain"),
        (b"Subject: =?utf-8?q?gr=C3=BCn?=", "grün"),
        (b"Subject: =?iso-8859-1?q?gr=FCn?= =?utf-8?b?w7w=?=", "grünü"),
        (b"Subject: gr\xc3\xbcn", "grün"),
        (b"Subject: two\n lines", "two lines"),
        (b"Subject: =?utf-8?b?not base64!?=", "=?utf-8?b?not base64!?="),
        (b"To: x", ""),
    ],
)
def test_headers(header: bytes, text: str) -> None:
    assert header_of(BytesParser().parsebytes(header + b"\n\nbody"), "Subject") == text


def test_flowed_lines_are_joined_and_signatures_kept_apart() -> None:
    mail = b"Content-Type: text/plain; format=flowed\n\none \ntwo\nthree \n\n-- \nAnn\n"
    assert body_of(BytesParser().parsebytes(mail)) == "one two\nthree \n\n-- \nAnn"


def test_nested_parts_end() -> None:
    head, tail = b"", b""
    for depth in range(60):
        head += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth)
        tail = b"\n--b%d--" % depth + tail
    assert body_of(BytesParser().parsebytes(head + b"Content-Type: text/plain\n\ndeep\n" + tail)) == ""
