"""Postal addresses: street and number as they are written in some languages, with place and postcode where they follow.

A search starts at a number of at most five digits and looks a few words to both sides, so its cost does not depend on
the length of the text.
"""

import re

_REACH = 64
_NAME = r"[^\W\d_][\w'’.-]*"
_CAPITAL = r"(?:[A-ZÀ-ÖØ-ÞŁŚŻŹĆ][\w'’.-]*)"
_TOWN = rf"{_CAPITAL}(?:[ -](?:{_CAPITAL}|am|an|der|den|im|upon|on|de|la|le|sur|del|of|the|ob)){{0,4}}"
_UK_CODE = r"[A-PR-UWYZ][A-HK-Y]?[0-9][0-9A-HJKMNP-Y]?[ \u00a0][0-9][ABD-HJLNP-UW-Z]{2}(?![A-Za-z0-9])"
_US_CODE = r"[A-Z]{2} [0-9]{5}(?:-[0-9]{4})?(?![0-9])"
_CA_CODE = r"[A-Z]{2},? [A-Z][0-9][A-Z] ?[0-9][A-Z][0-9](?![A-Za-z0-9])"
_AU_CODE = r"(?:NSW|VIC|QLD|ACT|TAS|SA|WA|NT) [0-9]{4}(?![0-9])"
_ENGLISH_TAIL = rf"(?:,? {_TOWN}){{0,2}},? (?:{_UK_CODE}|{_US_CODE}|{_CA_CODE}|{_AU_CODE}|[0-9]{{6}}(?![0-9]))"
_STREETS = [
    "Street", "St", "Road", "Rd", "Avenue", "Ave", "Lane", "Ln", "Drive", "Dr", "Close", "Court", "Ct", "Place", "Pl",
    "Square", "Sq", "Terrace", "Terr", "Crescent", "Gardens", "Grove", "Boulevard", "Blvd", "Way", "Parkway", "Pkwy",
    "Highway", "Hwy", "Hill", "Row", "Mews", "Walk", "Parade", "View", "Broadway", "Kingsway", "Embankment", "Green",
    "Quay", "Circle", "Trail", "Esplanade", "Wharf", "Rise", "Vale", "Mount",
]  # fmt: skip
_ENGLISH = re.compile(
    rf"[0-9]{{1,5}}[A-Za-z]?(?:[-/][0-9]{{1,4}}[A-Za-z]?)?,? (?:(?:[NSEW]|[NS][EW])\.? )?"
    rf"(?:The (?:Crescent|Avenue|Grove|Green|Square|Parade|Drive|Close)|Broadway|Kingsway"
    rf"|(?:(?:{_CAPITAL}|[A-Z]|[0-9]{{1,3}}(?:st|nd|rd|th)|of|the) ){{1,5}}?(?:{'|'.join(_STREETS)}))"
    r"(?![\w'’])\.?(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl|Flat|#)\.? ?[0-9]{1,5}[A-Za-z]?)?"
)
_ENGLISH_SMALL = re.compile(
    r"[0-9]{1,5}[a-z]? (?:[a-z'’]+ ){1,2}(?:street|st|road|rd|avenue|ave|lane|drive|close|crescent)(?![\w'’])"
)
_NO_STREET_WORD = frozenset(
    [
        "google", "hard", "flash", "usb", "pen", "down", "up", "across", "along", "from", "of", "to", "the", "on",
        "in", "at", "per", "this", "that", "other", "more", "street", "map", "bus", "off", "minutes", "minute", "min",
        "mins", "hours", "hour", "days", "day", "weeks", "week", "months", "years", "miles", "mile", "meters",
        "yards", "km", "new", "open", "closed", "long", "one", "two", "busy", "main", "same", "next",
    ]
)  # fmt: skip
_NOT_CAPITAL = frozenset(["google", "hard", "flash", "usb", "pen", "onedrive", "one", "star"])
_ALSO_COMMON = frozenset(
    [
        "way", "square", "court", "place", "view", "green", "row", "walk", "hill", "mount", "rise", "vale", "circle",
        "drive", "trail", "close",
    ]
)  # fmt: skip
_UNIT_BEFORE = re.compile(r"(?:\b(?:Flat|Apt|Apartment|Unit|Suite|Ste|Studio) (?:#?[0-9]{1,4}[A-Za-z]?,? )?)$")
_FRENCH = re.compile(
    r"[0-9]{1,4}(?: ?(?:bis|ter|quater)\b| ?[A-D]\b)?,? (?i:rue|avenue|av\.|boulevard|boul\.|bd\.?|blvd|place|pl\."
    r"|chemin|allée|allées|impasse|quai|cours|route|square|passage|faubourg|rond-point|sentier|voie|villa)"
    rf"(?: (?:de la|de l['’]|des|du|de|d['’]|la|le|les|l['’]))?(?: ?(?:{_CAPITAL}|de|du|des|la|l['’]|et|sur)){{1,6}}"
)
_POSTCODE_TOWN = re.compile(
    rf",?(?: |\n)(?:[A-Z]{{1,2}}-)?(?:[0-9]{{5}}|[0-9]{{4}} ?[A-Z]{{2}}|[0-9]{{4}}|[0-9]{{2}}-[0-9]{{3}}"
    rf"|[0-9]{{3}} [0-9]{{2}})[ ]+{_TOWN}"
)
_TAIL_ENGLISH = re.compile(_ENGLISH_TAIL)
_UK_POSTCODE = re.compile(rf"(?<![A-Za-z0-9]){_UK_CODE}")
_UK_AREAS = frozenset(
    [
        "AB", "AL", "B", "BA", "BB", "BD", "BH", "BL", "BN", "BR", "BS", "BT", "CA", "CB", "CF", "CH", "CM", "CO",
        "CR", "CT", "CV", "CW", "DA", "DD", "DE", "DG", "DH", "DL", "DN", "DT", "DY", "E", "EC", "EH", "EN", "EX",
        "FK", "FY", "G", "GL", "GU", "GY", "HA", "HD", "HG", "HP", "HR", "HS", "HU", "HX", "IG", "IM", "IP", "IV",
        "JE", "KA", "KT", "KW", "KY", "L", "LA", "LD", "LE", "LL", "LN", "LS", "LU", "M", "ME", "MK", "ML", "N", "NE",
        "NG", "NN", "NP", "NR", "NW", "OL", "OX", "PA", "PE", "PH", "PL", "PO", "PR", "RG", "RH", "RM", "S", "SA",
        "SE", "SG", "SK", "SL", "SM", "SN", "SO", "SP", "SR", "SS", "ST", "SW", "SY", "TA", "TD", "TF", "TN", "TQ",
        "TR", "TS", "TW", "UB", "W", "WA", "WC", "WD", "WF", "WN", "WR", "WS", "WV", "YO", "ZE",
    ]
)  # fmt: skip
_PO_BOX = re.compile(r"(?:P\.? ?O\.? Box|Postfach|Postbus|Apartado(?: de correos)?|BP) $", re.IGNORECASE)
_NUMBER_TAIL = re.compile(
    r"[0-9]{1,4}(?: ?[a-zA-Z](?![\w'’]))?(?:[-/](?:[0-9IVX]{1,4}[a-z]?|[A-Z])(?![0-9.A-Za-z]))?"
    r"(?![0-9]|[.,:][0-9]|[^\W_]| ?[%€$£])"
    r"(?:,? [0-9]{1,2}\.?[ºª°](?: (?:[A-Z]\b|izquierda|derecha|izq|dcha|izda)\.?)?)?"
)
_ENDS_IN_STREET = (
    "straße", "strasse", "str.", "weg", "platz", "allee", "gasse", "chaussee", "damm", "ufer", "steig", "promenade",
    "straat", "laan", "gracht", "plein", "kade", "singel", "dijk", "steeg", "gatan", "vägen", "gata", "torget", "markt",
)  # fmt: skip
_STREET_ALONE = frozenset(
    [
        "straße", "strasse", "str", "str.", "weg", "platz", "allee", "gasse", "chaussee", "damm", "ufer", "straat",
        "laan", "plein", "kade",
    ]
)  # fmt: skip
_NAMED_STREET = re.compile(
    r"(?<![\w'’])(?:(?:(?:Alte|Neue|Obere|Untere|Große|Kleine|Hohe|Oude|Nieuwe|Grote|Am|An der|An den"
    rf"|Auf der|Auf dem|Im|In der|Zum|Zur|Unter den|Hinter der|Bei der) )?{_NAME}(?:[ -]{_NAME})?)$"
)
_AT = re.compile(
    r"(?<![\w'’])(?:Am|An der|An den|Auf der|Auf dem|Auf den|Im|In der|In den|Zum|Zur|Unter den"
    r"|Hinter der|Hinter dem|Bei der|Vor dem)"
    r" [A-ZÄÖÜ][\wß-]+$"
)
_OF = re.compile(
    r"(?<![\w'’])(?:Straße|Platz|Allee|Laan|Plein|Weg) (?:des|der|van|von)(?: (?:de|den|der|het))? [\w. -]{1,24}$"
)
_ROMANCE = re.compile(
    r"(?<![\w'’/])(?:Calle|Gran Vía|C/|C\.|Cl\.|Avenida|Avda\.?|Av\.?|Plaza|Pza\.?|Pl\.|Paseo|P\.º|Camino"
    r"|Carretera|Ctra\.|Ronda|Travesía|Glorieta|Rambla|Via|Viale|Piazza|Piazzale|Corso|Largo|Vicolo|Strada|Rua|R\.|Travessa|Praça|Alameda|ul\.|al\.|os\.|pl\.)"
    rf" ?(?:(?:{_CAPITAL}|de|del|la|las|los|el|da|do|das|dos|della|delle|dei|di|y|e|[0-9]{{1,2}}) ?){{0,6}},?"
    r" ?(?:(?:n\.?[ºo°]?|nº|número|num\.|numero) ?)?$"
)
_ROMANCE_STARTS = frozenset(
    [
        "calle", "vía", "c/", "c.", "cl.", "avenida", "avda", "avda.", "av", "av.", "plaza", "pza", "pza.", "pl.",
        "paseo", "camino", "carretera", "ctra.", "ronda", "travesía", "glorieta", "rambla", "via", "viale", "piazza",
        "piazzale", "corso", "largo", "vicolo", "strada", "rua", "r.", "travessa", "praça", "alameda", "ul.", "al.",
        "os.",
    ]
)  # fmt: skip
_ROMANCE_TAIL = re.compile(rf",? (?:(?:[0-9]{{5}}|[0-9]{{4}}-[0-9]{{3}}|[0-9]{{2}}-[0-9]{{3}}) )?{_TOWN}")


def address_at(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The span of the address whose house number is the digits in `start:end`, or of a postcode that holds them."""
    if end - start > 5 or text[start - 1 : start] in ("-", ".", "/", "#", "$", "£", "€", ":"):
        return None
    found = _number_first(text, start)
    if found is None:
        found = _street_first(text, start)
    return found or _british_postcode(text, start)


def _number_first(text: str, start: int) -> tuple[int, int] | None:
    if text[start - 1 : start].isalnum():
        return None
    window = min(len(text), start + 2 * _REACH)
    matched = _ENGLISH.match(text, start, window)
    if matched and not _is_street(matched.group(), text[matched.end() : matched.end() + 2]):
        matched = None
    if matched:
        unit = _UNIT_BEFORE.search(text[max(0, start - 20) : start])
        begin = start - (unit.end() - unit.start()) if unit else start
        return begin, _end_of_tail(_TAIL_ENGLISH, text, matched.end())
    if matched := _FRENCH.match(text, start, window):
        return start, _end_of_tail(_POSTCODE_TOWN, text, _trim(text, matched.end()))
    small = _ENGLISH_SMALL.match(text, start, window)
    return small.span() if small and _NO_STREET_WORD.isdisjoint(small.group().split()[1:-1]) else None


def _is_street(written: str, after: str) -> bool:
    """`2 Google Drive folders`, `5 Red Place Mats`: not every capital word before such a noun is a street."""
    names = [word.strip(".,").lower() for word in written.split()[1:]]
    if names[-1] in _ALSO_COMMON and after[:1] == " " and after[1:].isupper():
        return False
    return names[0] not in _NOT_CAPITAL


def _street_first(text: str, start: int) -> tuple[int, int] | None:
    if text[start - 1 : start] not in (" ", "\u00a0"):
        return None
    number = _NUMBER_TAIL.match(text, start, min(len(text), start + 24))
    if number is None:
        box = _PO_BOX.search(text[max(0, start - 24) : start])
        return _box(text, start, box) if box else None
    before = text[max(0, start - _REACH) : start].rsplit("\n", 1)[-1]
    begin = _street_before(before.rstrip(" \u00a0"))
    tail = _POSTCODE_TOWN
    if begin is None and (matched := _AT.search(before.rstrip())) and tail.match(text, number.end()):
        begin = matched.start()
    if begin is None:
        begin = _romance_before(before)
        tail = _ROMANCE_TAIL
    if begin is None:
        box = _PO_BOX.search(before)
        return _box(text, start, box) if box else None
    return start - len(before) + begin, _end_of_tail(tail, text, number.end())


def _street_before(before: str) -> int | None:
    """Where a street's name begins that ends `before`, in German, Dutch or Swedish."""
    last = before.rsplit(" ", 1)[-1]
    low = last.lower()
    if low in _STREET_ALONE or (low == "ring" and " " in before):
        named = _NAMED_STREET.search(before)
        return named.start() if named and named.group()[:1].isupper() and " " in named.group() else None
    if low.endswith(_ENDS_IN_STREET) and last[:1].isupper():
        prefix = _NAMED_PREFIX.search(before)
        return prefix.start() if prefix else len(before) - len(last)
    matched = _OF.search(before)
    return matched.start() if matched else None


_NAMED_PREFIX = re.compile(
    rf"(?<![\w'’])(?:(?:Alte|Neue|Obere|Untere|Große|Kleine|Hohe|Oude|Nieuwe|Grote|Eerste|Tweede|Am|Im|Sint|St\.|Dr\.|Prof\."
    rf"|[Vv]an|[Vv]on) (?:(?:de|der|den|het) )?){{1,2}}{_NAME}$"
)


def _romance_before(before: str) -> int | None:
    low = before.lower()
    words = low.replace("c/", "c/ ").split()
    if _ROMANCE_STARTS.isdisjoint(words[-8:]):
        return None
    matched = _ROMANCE.search(before)
    return matched.start() if matched else None


def _box(text: str, start: int, box: re.Match[str]) -> tuple[int, int]:
    end = start
    while end < len(text) and text[end].isdigit():
        end += 1
    english = _end_of_tail(_TAIL_ENGLISH, text, end)
    return start - (box.end() - box.start()), english if english > end else _end_of_tail(_POSTCODE_TOWN, text, end)


def _end_of_tail(tail: re.Pattern[str], text: str, end: int) -> int:
    matched = tail.match(text, end, min(len(text), end + 2 * _REACH))
    return _trim(text, matched.end()) if matched else end


def _trim(text: str, end: int) -> int:
    """A full stop or a small word that a pattern took along belongs to the sentence."""
    while text[end - 1] in " .,'’-":
        end -= 1
    return end


def _british_postcode(text: str, start: int) -> tuple[int, int] | None:
    """A postcode of a dozen houses: it alone tells nearly where somebody lives."""
    if not text[start - 1 : start].isupper():
        return None
    found = _UK_POSTCODE.search(text, max(0, start - 3), min(len(text), start + 9))
    if found is None or found.group().rstrip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == found.group():
        return None
    area = re.match(r"[A-Z]+", found.group())
    return found.span() if area and area.group() in _UK_AREAS else None
