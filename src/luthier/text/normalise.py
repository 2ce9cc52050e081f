"""Mending of characters and white space."""

import re

import ftfy

from luthier.text.hints import holds_any

_FIXES = ftfy.TextFixerConfig(uncurl_quotes=False, fix_character_width=False, explain=False)
_ASCII_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0e-\x1f\x7f]")
_INVISIBLE = re.compile(r"[\x80-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
"""Control characters beyond ASCII, soft hyphens, zero-width spaces and direction marks."""
_IDLE_JOINER = re.compile(r"(?<![^\x00-\x7f])[\u200c\u200d]+|[\u200c\u200d]+(?![^\x00-\x7f])")
"""Zero-width joiners that join nothing; between emoji or letters of other scripts they carry meaning."""
_ASCII_NEWLINE = re.compile(r"\r\n?|[\x0b\x0c]")
_NEWLINE = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACE = re.compile(r"[^\S\n\t ]")
_INNER_RUN = re.compile(r"(?<=\S)[ \t]{2,}(?=\S)|(?<=\S)\t(?=\S)")
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")
_PLAIN = "‘’“”–—…•€£©®°àáâäãåçèéêëìíîïñòóôöõøùúûüýßæÀÁÄÇÈÉÊËÑÓÖÜØÆ\U0001f300-\U0001f64f"
_UNSURE = re.compile(rf"[^\x00-\x7f]{{2}}|[^\x00-\x7f{_PLAIN}]")
"""What may come from wrong decoding: bytes of UTF-8 that were taken for characters never stand alone."""
_UNTIDY = ("&", "  ", " \n", "\n\n\n")
_MAX_PASSES = 4


def normalise(text: str) -> str:
    """Mend wrong decoding ("Ã¼" for "ü"), remove invisible characters and tidy white space; Unicode NFC.

    Paragraphs and the indentation of lines stay, curly quotes and full-width characters too. Applying it twice
    changes nothing more, save for text that was made to nest escapes more than four deep.
    """
    if _is_tidy(text):
        return text.strip()
    for _ in range(_MAX_PASSES):
        mended = _normalise_once(text)
        if mended == text:
            break
        text = mended
    return text


def _is_tidy(text: str) -> bool:
    """Whether a cheap look tells that nothing but white space around the text may have to be mended."""
    if holds_any(text, _UNTIDY):
        return False
    return text.replace("\n", "").isprintable() and (text.isascii() or _UNSURE.search(text) is None)


def _normalise_once(text: str) -> str:
    text = _ASCII_CONTROL.sub("", _ASCII_NEWLINE.sub("\n", text))
    if not text.isascii() or "&" in text:
        text = ftfy.fix_text(text, _FIXES)  # before invisible characters go: bytes of a wrong decoding look like them
        text = _ASCII_CONTROL.sub("", _NEWLINE.sub("\n", text))
        text = _IDLE_JOINER.sub("", _INVISIBLE.sub("", text))
        text = _SPACE.sub(" ", text)
    text = _INNER_RUN.sub(" ", text)
    text = _TRAILING.sub("", text)
    return _BLANK_LINES.sub("\n\n", text).strip()
