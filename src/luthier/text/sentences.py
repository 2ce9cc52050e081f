"""Where sentences end: what stands on a line of its own, or before a full stop, question or exclamation mark."""

import re

_END = re.compile(r"""\n|[.!?…]+["'”’»)\]*_]*(?=\s)|[。！？]+[”’」』）]*""")
_LAST_WORD = re.compile(r"(\S*?)[.]+[\"'”’»)\]*_]*\Z")
_ABBREVIATIONS = frozenset(
    [
        "mr", "mrs", "ms", "dr", "prof", "st", "e.g", "i.e", "vs", "approx", "incl", "excl", "ca", "cf", "dept", "z.b",
        "d.h", "u.a", "bzw", "str", "hr", "fr", "evtl", "ggf", "inkl", "zzgl", "sr", "sra", "srta", "ud", "uds", "av",
        "mme", "mlle", "p.ex", "bijv", "d.w.z", "dhr", "mevr", "sig", "dott",
    ]
)  # fmt: skip
_BEFORE_NUMBERS = frozenset(["no", "nos", "nr", "nrs", "p", "pp", "tel", "fig", "ext", "art", "abs", "núm", "num"])


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, in order; put together they are the text, white space included.

    White space after a sentence belongs to it. A number or letter that opens a line ("1. Press the button") is no
    sentence, nor does one end after an initial, an abbreviation of a short list, or before a small letter.
    """
    found: list[str] = []
    start = 0
    for end in _END.finditer(text):
        if end.start() < start or not _ends(text, start, end):
            continue
        stop = end.end()
        while stop < len(text) and text[stop].isspace() and (text[stop] != "\n" or text[stop - 1 : stop] == "\n"):
            stop += 1
        if text[start:stop].strip() or not found:
            found.append(text[start:stop])
        else:
            found[-1] += text[start:stop]
        start = stop
    if start < len(text):
        found.append(text[start:])
    return found


def _ends(text: str, start: int, end: re.Match[str]) -> bool:
    if not end.group().startswith((".", "…")):
        return True
    following = text[end.end() : end.end() + 40].lstrip()
    if following[:1].islower():
        return False
    word = _LAST_WORD.search(text, max(start, end.start() - 24), end.end())
    if word is None or not end.group().startswith("."):
        return True
    last = word[1].lower().lstrip("(\"'“‘«*_-–•")
    opens = not text[start : word.start(1)].strip(" \t-*•(")
    if opens and (last.isdigit() or len(last) == 1):
        return False
    if last in _BEFORE_NUMBERS:
        return not following[:1].isdigit()
    return not (last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha() and last != "i"))
