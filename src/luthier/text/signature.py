"""What stands below the words of a mail: signatures, lines that devices add, legal notices."""

import re

from luthier.text.hints import holds_any

_DELIMITED = re.compile(r"^(?:--|—)[ \t]*\n(?:[^\n]*(?:\n|\Z)){0,12}\Z", re.MULTILINE)
_DEVICE = re.compile(
    r"^[ \t]*(?:Sent from (?:my|Yahoo|Mail|Outlook)\b[^\n]{0,60}|Get Outlook for [^\n]{0,60}|Sent with [^\n]{0,60}"
    r"|Sent via [^\n]{0,40}|Von meinem [^\n]{0,40} gesendet|Gesendet (?:von|mit) [^\n]{0,60}|Envoyé (?:de mon"
    r"|depuis) [^\n]{0,40}|Enviado desde mi [^\n]{0,40}|Verzonden (?:vanaf|met) [^\n]{0,40}"
    r"|Inviato da(?:l mio)? [^\n]{0,40}|Enviado do meu [^\n]{0,40})[ \t]*$",
    re.MULTILINE,
)
_DEVICE_HINTS = ("Sent ", "Get Outlook", "gesendet", "Gesendet", "Envoyé", "Enviado", "Verzonden", "Inviato")
_NOTICE = re.compile(
    r"^[ \t*_]*(?:(?:CONFIDENTIALITY|LEGAL|PRIVACY) NOTICE\b|DISCLAIMER\b|This (?:e-?mail"
    r"|message)(?: and any [^\n]{3,60})?(?: is| are|,| may| contains| \(incl)[^\n]{0,120}(?:confidential|intended"
    r"|privileged)|The information (?:contained )?in this (?:e-?mail|message)\b|Diese (?:E-?Mail"
    r"|Nachricht) (?:enthält|kann|ist)[^\n]{0,80}vertraulich|Ce (?:message|courriel)[^\n]{0,80}confidentiel"
    r"|Este (?:mensaje|correo)[^\n]{0,80}confidencial|Dit (?:bericht|e-mailbericht)[^\n]{0,80}vertrouwelijk"
    r"|Questo messaggio[^\n]{0,80}riservat|Esta mensagem[^\n]{0,80}confidenc"
    r"|Please consider the environment before printing)",
    re.MULTILINE | re.IGNORECASE,
)
_NOTICE_HINTS = (
    *("onfiden", "ONFIDEN", "isclaimer", "ISCLAIMER", "before printing", "rivileged", "intended", " NOTICE", " notice"),
    *("information in this", "contained in this", "ertraulich", "ertrouw", "riservat"),
)
_SIGN_OFF = (
    r"(?:(?:with |my |many )?(?:best|kind|kindest|warm|warmest) (?:regards|wishes)|regards|best|all the best|cheers"
    r"|yours(?: sincerely| truly| faithfully)?|sincerely(?: yours)?|respectfully|take care|warmly"
    r"|(?:mit )?(?:freundlichen|besten|herzlichen|lieben|vielen) gr(?:ü|ue)(?:ß|ss)en|(?:viele|liebe|beste|herzliche"
    r"|schöne|freundliche) gr(?:ü|ue)(?:ß|ss)e|gr(?:u|ü)(?:ß|ss)e?|mfg|lg|vg|kr|br|rgds|cordialement"
    r"|bien cordialement|bien à vous|sincères salutations|meilleures salutations|salutations distinguées"
    r"|(?:un )?(?:cordial )?saludos?(?: cordiales)?|atentamente|un abrazo|(?:met )?(?:vriendelijke"
    r"|hartelijke) groet(?:en)?|groet(?:en|jes)?|mvg|(?:cordiali|distinti|cari) saluti|saluti|cordialmente"
    r"|atenciosamente|com os melhores cumprimentos|abraços)"
)
_THANKS = (
    r"(?:(?:many |much )?(?:thanks|thank you)(?: again| a lot| so much"
    r"| very much)?(?: in advance)?(?: for your (?:help|time|support))?|(?:vielen |besten "
    r"|herzlichen )?dank(?:e)?(?: (?:schön|im voraus))?|merci(?: beaucoup)?(?: d['’]avance)?"
    r"|(?:muchas )?gracias(?: de antemano)?|(?:alvast )?bedankt|grazie(?: mille)?|(?:muito )?obrigad[oa])"
)
_ENDS_WORDS = re.compile(
    rf"[ \t*_]*(?:{_THANKS} (?:and|und|et|y|en|e|&) )?{_SIGN_OFF}(?: aus [\w-]+| ?/ ?{_SIGN_OFF})?[ \t]*[,.!]?[ \t*_]*",
    re.IGNORECASE,
)
_THANKS_LINE = re.compile(rf"[ \t*_]*{_THANKS}[ \t]*[,.!]?[ \t*_]*", re.IGNORECASE)
_INLINE = re.compile(
    rf"[ \t]*(?:(?i:{_SIGN_OFF})[ \t]*[,.!]|LG|VG|MfG)[ \t]+(?:[A-ZÀ-Þ][\w'’.-]*[ \t]*){{1,3}}[.,]?[ \t]*"
)
_NAME_WORD = r"(?:[A-ZÀ-Þ][\w'’.-]*|van|von|de|der|la|y)"
_NAME = re.compile(rf"[ \t]*[-–~*]?[ \t]*{_NAME_WORD}(?:[ \t]+{_NAME_WORD}){{0,4}}[,.]?[ \t]*\*?")
_COMPANY = re.compile(
    r"\b(?:registered (?:in|office)|company n(?:o|umber)|VAT (?:no|number|id)|Geschäftsführ|Handelsregister"
    r"|Amtsgericht|HRB \d|Sitz der|SIRET|KvK|P\. ?IVA)",
    re.IGNORECASE,
)
"""What laws make companies put below their mails."""
_POSTSCRIPT = re.compile(r"[ \t]*P\.? ?S\b", re.IGNORECASE)
_LONGEST_LINE = 90
_MOST_LINES = 9
"""Lines below a sign-off, empty ones not counted: name, title, company, address, telephone, …"""


def cut_signature(text: str) -> str:
    """Cut what follows `-- `, legal notices, and lines such as "Sent from my phone". Expects `\\n` line ends."""
    if "\n--" in text or "\n—" in text or text.startswith(("--", "—")):
        text = _DELIMITED.sub("", text)
    if holds_any(text, _DEVICE_HINTS):
        text = _DEVICE.sub("", text)
    if holds_any(text, _NOTICE_HINTS) and (found := _NOTICE.search(text)):
        text = text[: found.start()]
    return text


def cut_sign_off(text: str) -> str:
    """Cut "Best regards," and the few short lines below it, in the languages of `quotes`; a postscript stays.

    Lines below that read like sentences are no signature, and then nothing is cut. "Thanks," counts only where a name
    follows. Of a text that is nothing else, nothing is cut.
    """
    lines = text.rstrip().split("\n")
    for place in range(len(lines) - 1, max(-1, len(lines) - 4 * _MOST_LINES), -1):
        if (end := _signature_end(lines, place)) is not None:
            above = "\n".join(lines[:place]).rstrip(" \t\n-_")
            below = "\n".join(lines[end:]).strip()
            return "\n\n".join(part for part in (above, below) if part) if above else text
    return text


def _signature_end(lines: list[str], place: int) -> int | None:
    """The line after the signature that begins at `place`, if one does."""
    line = lines[place]
    if len(line) > _LONGEST_LINE:
        return None
    thanks = _THANKS_LINE.fullmatch(line) is not None
    if not thanks and not _ENDS_WORDS.fullmatch(line) and not _INLINE.fullmatch(line):
        return None
    end = next((number for number in range(place + 1, len(lines)) if _POSTSCRIPT.match(lines[number])), len(lines))
    below = [each for each in lines[place + 1 : end] if each.strip()]
    if thanks and not (below and (_NAME.fullmatch(below[0]) or _is_small_name(line, below))):
        return None
    return end if len(below) <= _MOST_LINES and not any(map(_is_sentence, below)) else None


def _is_small_name(line: str, below: list[str]) -> bool:
    """Whether a comma and a single word end the mail: "thanks,", and below it "ann"."""
    return line.rstrip().endswith(",") and len(below) == 1 and below[0].strip().isalpha()


def _is_sentence(line: str) -> bool:
    """Whether a line says something rather than naming who wrote."""
    stripped = line.strip()
    if _COMPANY.search(stripped):
        return False
    return (
        len(stripped) > _LONGEST_LINE or stripped.endswith("?") or (stripped[-1:] in ".!" and stripped.count(" ") > 4)
    )
