"""Replies that a mail quotes, in English, German, French, Spanish, Dutch, Italian and Portuguese."""

import re

from luthier.text.hints import holds_any

_LINES = r"[^\n]{2,200}(?:\n[^\n]{0,200})?"
_NAMED = r"[^\n]{0,200}(?:\n[^\n]{0,200}>)?"
_DATED = r"(?=[^\n]*(?:\n[^\n]*)?[\d@])"
"""A header names a day or an address, which plain words ("On the box it says, and I wrote:") do not."""
_REPLY_HEADERS = tuple(
    (hint, re.compile(rf"^[ \t>*]*{_DATED}{header}[ \t]*:?[ \t*]*$", re.MULTILINE))
    for hint, header in (
        (
            "wrote:",
            rf"(?:On\b{_LINES}|[^\n]{{0,80}}<[^<>\n]+@[^<>\n]+>[^\n]{{0,40}}|\d{{4}}-\d\d-\d\d{_LINES})\bwrote:",
        ),
        ("schrieb", rf"(?:Am\b{_LINES}|[^\n]{{0,80}}<[^<>\n]+@[^<>\n]+>[^\n]{{0,40}}) ?\bschrieb\b{_NAMED}:"),
        ("écrit", rf"(?:Le\b{_LINES}|[^\n]{{0,80}}<[^<>\n]+@[^<>\n]+>[^\n]{{0,40}})\ba\s+écrit\s?:"),
        ("escribió", rf"El\b{_LINES}\bescribió\s?:"),
        ("schreef", rf"Op\b{_LINES}\bschreef\b{_NAMED}:"),
        ("scritto", rf"Il\b{_LINES}\bha\s+scritto\s?:"),
        ("escreveu", rf"(?:Em|A)\b{_LINES}\bescreveu\s?:"),
    )
)
"""(a word that each one holds, what is looked for where it stands)."""
_ANY_HEADER = re.compile(r"^[^\n]*\d[^\n]*<[^<>\n]+@[^<>\n]+>[^\n]{0,20}:[ \t]*\n+(?=>)", re.MULTILINE)
"""A day, an address and a colon above quoted lines: a header in whatever language."""
_ORIGINAL_MESSAGE = re.compile(
    r"^[ \t>]*-{3,}[ \t]*(?:Original (?:Message|Appointment)|Reply message|Ursprüngliche Nachricht|Originalnachricht"
    r"|Message d'origine|Message original|Mensaje original|Oorspronkelijk bericht|Messaggio originale"
    r"|Mensagem original)[ \t]*-{3,}[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_FROM = r"(?:From|Von|De|Van|Da)"
_WHEN = r"(?:Sent|Date|Gesendet|Datum|Envoyé|Enviado(?: el| em)?|Fecha|Verzonden|Inviato|Data)"
_ABOUT = r"(?:Subject|Betreff|Objet|Asunto|Onderwerp|Oggetto|Assunto)"
_ABOUT_HINTS = ("Subject", "Betreff", "Objet", "Asunto", "Onderwerp", "Oggetto", "Assunto")
_HEADER_BLOCK = re.compile(
    rf"^(?:_{{10,}}[ \t]*\n+)?[ \t>]*\*?{_FROM}\s?:\*?[^\n]+\n(?:[^\n]+\n){{0,2}}?"
    rf"[ \t>]*\*?{_WHEN}\s?:\*?[^\n]+\n(?:[^\n]+\n){{0,4}}?[ \t>]*\*?{_ABOUT}\s?:",
    re.MULTILINE,
)
_ABOVE_HINTS = ("##", "--", "==", "__", "**")
_ABOVE = re.compile(
    r"^[ \t>]*[#=*_-]{2,}[^\n]{0,80}\b(?:above|oberhalb|über|au-dessus|encima|boven|sopra"
    r"|acima)\b[^\n]{0,80}[#=*_-]{2,}"
    r"[ \t]*(?:\n|\Z)",
    re.MULTILINE | re.IGNORECASE,
)
_FORWARD_HINTS = ("egin forwarded", "eitergeleitet", "ébut du message")
_FORWARDED = re.compile(
    r"^[ \t>]*(?:-{3,}[ \t]*(?:Forwarded (?:message|by)|Weitergeleitete Nachricht|Message transféré|Mensaje reenviado"
    r"|Doorgestuurd bericht|Messaggio inoltrato|Mensagem encaminhada)\b[^\n]*|Begin forwarded message:"
    r"|Anfang der weitergeleiteten Nachricht:|Début du message (?:réexpédié|transféré) ?:)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_HEADER_LINE = re.compile(r"[ \t>]*\*?[A-ZÀ-Ý][\w-]{1,15}(?: (?:el|em))?\s?:\*?[ \t]")
_QUOTED_LINE = re.compile(r"^[ \t]?>(?!>>\s)[^\n]*(?:\n|\Z)", re.MULTILINE)


def cut_quotes(text: str) -> str:
    """The text without the mail that it answers. Lines that start with `>` go, answers between them stay.

    Of a forwarded mail, the marker and its header lines go and its words stay: they are what the sender wants to show.
    Expects `\\n` line ends. Empty where there is nothing but quotes.
    """
    marker = (
        _FORWARDED.search(text) if "orward" in text or "---" in text or "ansf" in text or "eiterg" in text else None
    )
    if marker is not None and text[: marker.start()].count("\n>") == 0:
        return _with_forwarded(text[: marker.start()], text[marker.end() :])
    return _QUOTED_LINE.sub("", text[: _quote_start(text)]) if ">" in text else text[: _quote_start(text)]


def _quote_start(text: str) -> int:
    """Where the first header of a quoted mail stands, else the end of the text."""
    starts = []
    if ":" in text:
        starts = [found.start() for hint, header in _REPLY_HEADERS if hint in text and (found := header.search(text))]
        if holds_any(text, _ABOUT_HINTS) and (found := _HEADER_BLOCK.search(text)):
            starts.append(found.start())
        if "\n>" in text and (found := _ANY_HEADER.search(text)):
            starts.append(found.start())
    if "---" in text and (found := _ORIGINAL_MESSAGE.search(text)):
        starts.append(found.start())
    if holds_any(text, _ABOVE_HINTS) and (found := _ABOVE.search(text)):
        starts.append(found.start() if text[: found.start()].strip() else len(text))
    return min(starts, default=len(text))


def cut_reply_marker(text: str) -> str:
    """The text without a first line that asks to write above it, as help desks put over what they send."""
    found = _ABOVE.search(text) if text.lstrip()[:2] in _ABOVE_HINTS else None
    return text[found.end() :].lstrip() if found and not text[: found.start()].strip() else text


def _with_forwarded(own: str, forwarded: str) -> str:
    lines = [line.removeprefix("> ").removeprefix(">") for line in forwarded.strip("\n").split("\n")]
    place = 0
    while place < len(lines) and (not lines[place].strip() or _HEADER_LINE.match(lines[place] + " ")):
        place += 1
    words = "\n".join(lines[place:])
    parts = (own[: _quote_start(own)].strip(), words[: _quote_start(words)].strip())
    return "\n\n".join(part for part in parts if part)
