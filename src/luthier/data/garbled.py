"""Text that is broken: wrongly decoded, strings of symbols, encoded data, letters that make no words, rests of markup.

Each rule asks for much, so that code, tables, addresses, order numbers, emoji, masks such as [EMAIL] and all scripts
pass. What stands between fences is code and not looked at.
"""

import re
import string

from ftfy.badness import badness

from luthier.core.rows import Row
from luthier.data.reasons import Dropped, dropped
from luthier.data.turns import spoken_texts

CHARACTERS_PER_FAULT = 100
"""A text is wrongly decoded if it has a broken place in as many characters, on average, or in fewer."""
FEWEST_HIGH_LETTERS = 8
FEWEST_MARKS = 10
"""Of punctuation and symbols, in markup; in strings of symbols there are more."""
FEWEST_SYMBOLS = 30
FEWEST_DATA_CHARACTERS = 200
FEWEST_PAIRS = 16
MOST_RARE_PAIRS = 0.2
LETTERS_PER_CONSONANTS = 25
FEWEST_LONE_LETTERS = 30
FEWEST_TAG_CHARACTERS = 500

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)

_NEIGHBOURS = re.compile(r"[^\x00-\x7f][\x80-\u024f\u2010-\u25a1\ufffd]")
"""What a wrong decoding makes of one character, two or more of them. Without these a text need not be searched."""
_REPLACED = re.compile(r"\w\ufffd|\ufffd\w|\ufffd{2}|锟斤拷|[a-zà-ÿ]Ã\?|Ã\?[a-zà-ÿ]")
"""Replacement characters in words; these read as GBK; two bytes of UTF-8 read as Latin-1, the second of them lost."""
_HIGH_LATIN = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ".encode("latin-1")

_SHAPES = bytes.maketrans(
    (string.ascii_letters + string.digits + string.punctuation + string.whitespace).encode() + bytes(range(128, 256)),
    "".join("v" if letter in "aeiouyAEIOUY" else "c" for letter in string.ascii_letters).encode()
    + b"d" * 10
    + b"." * len(string.punctuation)
    + b" " * len(string.whitespace)
    + b"u" * 128,
)
"""Bytes of UTF-8 to c(onsonant), v(owel), d(igit), punctuation mark, space, and u(nknown) beyond ASCII."""

_REPEATED = re.compile(r"([^\w\s])(?:\s*\1)+")
_WEB_ADDRESS = re.compile(r"\w+://\S+|www\.\S+")
_SYMBOL = re.compile(r"[!-/:-@\[-`{-~]")
_SHIFTED_DIGIT = re.compile(r"[!@#$%^&*?~]")

_DATA_RUN = b"d" * 60
_IN_DATA = bytes.maketrans(
    bytes(range(256)),
    bytes(ord("d" if chr(byte) in string.ascii_letters + string.digits + "+/=_-" else " ") for byte in range(256)),
)
_RUN = re.compile(r"(?<![\w.:/?&%-])[A-Za-z0-9+/=_-]{40,}")
_SEPARATOR = re.compile(r"[/_-]")
_HEX = re.compile(r"[0-9a-fA-F]+")
_HEX_GROUP = re.compile(r"[0-9a-fA-F]{2,8}")
_MIXED = re.compile(r"\d[a-fA-F]|[a-fA-F]\d")

_WORD = re.compile(r"(?<![\w@./:%&$\\-])[^\W\d_]{3,}(?![\w@./:%&$\\-])")
_MIXED_CASE = re.compile(r"[a-z][A-Z]")
_RARE_PAIRS = frozenset(
    first + second
    for first, seconds in {
        "b": "cdfgkmnpqtvxz", "c": "bdfgmnpqvwx", "d": "bcfqx", "f": "cdgjkmpqvwxz", "g": "fpqvxz",
        "h": "cghjpqsxz", "j": "bcdfgkmpqrsvwxyz", "k": "bdfmpxz", "l": "cqrx", "m": "cdkqrvxz", "n": "bqrx",
        "p": "bfgjmqvwxyz", "q": "bcdefgjkmnpqstvwxyz", "r": "x", "s": "dqx", "t": "bfq", "u": "x",
        "v": "bcdfghjkmpqtvwxz", "w": "bcdfgjklmpqstvwxz", "x": "bcdfgjklmnoqrsvwxyz", "y": "ghqxz", "z": "cfhjlqrsx",
    }.items()
    for second in seconds
)  # fmt: skip
"""Pairs of letters that are rare within words: in 70 % of 45 languages of Latin script below 1 in 10,000 pairs, and in
none of them above 1 in 500. Counted in translations of programs' messages."""

_RTF_WORD = re.compile(r"\\(?:ansi|fonttbl|colortbl|pard?|fs\d+|cf\d+|f\d+|lang\d+)\b")
_QUOTED_PRINTABLE = re.compile(r"(?:=[0-9A-F]{2}){2,}|=\n")
_OFFICE = re.compile(r"\bmso-[a-z]|\bMsoNormal|</?o:p>|\bpanose-1:")
_TAG = re.compile(r"<[a-zA-Z/!?][^<>]*>")


def not_garbled(row: Row) -> Row | Dropped:
    """Judge each turn of users and assistants by itself, or the text."""
    for text in spoken_texts(row):
        if fault := find_garbling(text):
            return dropped("garbled", fault)
    return row


def find_garbling(text: str) -> str | None:
    """What is broken in a text, in words that do not repeat it; None where nothing is."""
    if "```" in text:
        text = _FENCED.sub("", text)
    if not text.isascii() and (fault := _wrong_decoding(text)):
        return fault
    shape = text.encode(errors="replace").translate(_SHAPES)
    fault = _encoded_data(text, shape) or _no_words(text, shape)
    if fault or shape.count(b".") < FEWEST_MARKS:
        return fault
    return _symbols(text, shape) or _markup(text)


def _wrong_decoding(text: str) -> str | None:
    """Broken places, and Latin-1 letters in place of another alphabet ("Ïðèâåò").

    Counted by ftfy, whose heuristics find nothing in sound text of 150 languages once it is mended. Of the letters of
    any language, at most two in five are accented ones of Latin-1.
    """
    faults = badness(text) if _NEIGHBOURS.search(text) else 0
    if any(mark in text for mark in ("\ufffd", "锟斤拷", "Ã?")):
        faults += len(_REPLACED.findall(text))
    if faults and faults * CHARACTERS_PER_FAULT >= len(text):
        return f"faults of decoding: {faults} in {len(text)} characters"
    latin = text.encode("latin-1", errors="ignore")
    high = len(latin) - len(latin.translate(None, _HIGH_LATIN))
    if high * 4 > len(text) and high >= FEWEST_HIGH_LETTERS and high * 2 > sum(map(str.isalpha, text)):
        return f"faults of decoding: {high} accented letters of another alphabet"
    return None


def _symbols(text: str, shape: bytes) -> str | None:
    """Four of five characters are symbols, of which a third stands above the digits of a keyboard or nearby.

    Repeated ones, as in rules and tables, count once. Emoji and signs of other scripts are no symbols.
    """
    symbols = shape.count(b".")
    if symbols < FEWEST_SYMBOLS or symbols * 2 < len(shape) - shape.count(b" "):
        return None
    text = _REPEATED.sub(r"\1", _WEB_ADDRESS.sub("", text))
    symbols = len(_SYMBOL.findall(text))
    total = len("".join(text.split()))
    if symbols < FEWEST_SYMBOLS or symbols * 5 < total * 4 or len(_SHIFTED_DIGIT.findall(text)) * 3 < symbols:
        return None
    return f"{symbols} of {total} characters are symbols"


def _encoded_data(text: str, shape: bytes) -> str | None:
    """Half of the text or more is base64 or hexadecimal, in long runs or in groups of up to eight digits."""
    if len(text) < FEWEST_DATA_CHARACTERS:
        return None
    total = len(shape) - shape.count(b" ")
    data = 0
    if _DATA_RUN in text.encode(errors="replace").translate(_IN_DATA):
        data = sum(len(run) for run in _RUN.findall(text) if _is_data(run))
    elif shape.count(b"d") * 5 > total:
        groups = [word for word in text.split() if _HEX_GROUP.fullmatch(word)]
        mixed = sum(bool(_MIXED.search(group)) for group in groups)
        data = sum(map(len, groups)) if mixed * 4 >= len(groups) else 0  # a table of numbers has none
    if data < FEWEST_DATA_CHARACTERS or data * 2 < total:
        return None
    return f"{data} of {total} characters are encoded data"


def _is_data(run: str) -> bool:
    """Paths and names are long runs, too: these have many separators, few digits, or a single case."""
    digits = sum(map(str.isdigit, run))
    if digits * 20 < len(run) or len(_SEPARATOR.findall(run)) * 10 > len(run):
        return False
    return bool(_HEX.fullmatch(run)) or not (run.islower() or run.isupper())


def _no_words(text: str, shape: bytes) -> str | None:
    """Hammered keys, by pairs of letters that no language likes; letters that are all set apart.

    Names in capitals or mixed case, and what touches digits, dots and the like, are no words to judge. Words in which
    consonants do not pile up ("asd" among them) are not looked at further.
    """
    consonants, vowels = shape.count(b"c"), shape.count(b"v")
    letters = consonants + vowels
    if letters > FEWEST_PAIRS and (shape.count(b"cccc") + text.count("asd")) * LETTERS_PER_CONSONANTS >= letters:
        words = [word.lower() for word in _WORD.findall(text) if not (word.isupper() or _MIXED_CASE.search(word))]
        pairs = [word[place : place + 2] for word in words for place in range(len(word) - 1)]
        rare = sum(pair in _RARE_PAIRS for pair in pairs)
        judged = sum(map(len, words)) * 2 >= sum(map(str.isalpha, text))
        if judged and len(pairs) >= FEWEST_PAIRS and rare > MOST_RARE_PAIRS * len(pairs):
            return f"{len(words)} words of letters that stand together in no language"
    if shape.count(b" ") * 5 >= len(shape) * 2 and letters >= FEWEST_LONE_LETTERS:
        return _lone_letters(text)
    return None


def _lone_letters(text: str) -> str | None:
    """Three of four words are single letters, few of them different: no alphabet, no key to a test."""
    words = text.split()
    lone = [word for word in words if len(word) == 1 and word.islower()]
    if len(lone) < FEWEST_LONE_LETTERS or len(lone) * 4 < len(words) * 3 or len(set(lone)) * 2 > len(lone):
        return None
    return f"{len(lone)} letters set apart"


def _markup(text: str) -> str | None:
    """What programs write and nobody reads: RTF, quoted-printable mail, styles of an office program, bare tags."""
    if "{\\rtf1" in text and len(_RTF_WORD.findall(text)) >= 10:
        return "source of an RTF document"
    if text.count("=") >= 10 and len(codes := _QUOTED_PRINTABLE.findall(text)) >= 5 and len(codes) * 100 >= len(text):
        return "quoted-printable mail that was not decoded"
    if ("mso-" in text or "Mso" in text) and len(_OFFICE.findall(text)) >= 5:
        return "styles of an office program"
    if text.count("<") >= 10:
        tags = sum(map(len, _TAG.findall(text)))
        if tags >= FEWEST_TAG_CHARACTERS and tags * 10 >= len(text) * 9:
            return f"{tags} of {len(text)} characters are tags"
    return None
