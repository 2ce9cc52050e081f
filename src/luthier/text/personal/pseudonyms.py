"""Made-up values in place of personal data: of the same kind and shape, and nobody's.

A value is chosen by its digest, so that it is the same on every machine; within one conversation two people never get
the same one. Numbers come from ranges that are reserved for films and examples, or fail their own check digit.
"""

import hashlib
import re
from collections.abc import Callable
from itertools import count

from luthier.text.personal.check_digits import luhn
from luthier.text.personal.finding import Finding, comparable
from luthier.text.personal.national_ids import is_identity_number

_GIVEN = (
    "Arden", "Ashley", "Aubrey", "Avery", "Bailey", "Blake", "Cameron", "Carson", "Casey", "Dale", "Drew", "Ellis",
    "Emerson", "Finley", "Francis", "Harper", "Hayden", "Hollis", "Jordan", "Jules", "Kelly", "Kendall", "Lane", "Lee",
    "Lennox", "Leslie", "Logan", "Marley", "Monroe", "Morgan", "Noel", "Parker", "Perry", "Quinn", "Reese", "Riley",
    "Robin", "Rowan", "Sawyer", "Shelby", "Sidney", "Skyler", "Spencer", "Taylor", "Terry", "Tracy", "Tyler", "Whitney",
)  # fmt: skip
"""For any gender, and most of them family names as well: one name alone may be either."""
_FAMILY = (
    "Adler", "Ashdown", "Barlow", "Beckett", "Birch", "Bramley", "Calloway", "Carver", "Clayton", "Colby", "Dalton",
    "Denholm", "Draper", "Easton", "Fairley", "Fenwick", "Garner", "Gresham", "Hadley", "Hartley", "Holt", "Ingram",
    "Keller", "Kirby", "Langley", "Larkin", "Lindgren", "Marlow", "Mercer", "Merton", "Norwood", "Oakley", "Prescott",
    "Ramsey", "Redfern", "Ridley", "Selby", "Sheldon", "Stanton", "Tilney", "Thorne", "Upton", "Vance", "Wakeley",
    "Weller", "Winslow", "Wyndham", "Yardley",
)  # fmt: skip
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_NEVER_ISSUED = "QXZ"
"""No scheme of the table puts these letters where a valid number needs its first ones."""
_FICTITIOUS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "GB": ("+44", "0", ("7700 900###",)),
    "US": ("+1", "", tuple(f"{area}-555-01##" for area in (202, 303, 312, 404, 415, 503, 617, 702, 713, 808))),
    "CA": ("+1", "", tuple(f"{area}-555-01##" for area in (204, 403, 416, 506, 514, 604, 613, 709, 780, 902))),
    "DE": ("+49", "0", ("30 23125 ###",)),
    "FR": ("+33", "0", ("6 39 98 ## ##",)),
    "AU": ("+61", "0", ("2 5550 ####",)),
    "IE": ("+353", "0", ("20 91# ####",)),
}
"""Country code, trunk prefix and numbers for films: Ofcom, NANPA, BNetzA (Mitteilung 148/2021), ARCEP, ACMA, ComReg."""
_PLACES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "": (
        "{number} {street}, {town}",
        ("Sample Street", "Fernhollow Lane", "Quillbrook Road", "Tarnfield Close", "Wickerby Avenue", "Ashmoor Drive"),
        ("Marlowbridge", "Eastwickham", "Thornley Vale", "Harrowmere"),
    ),
    "DE": (
        "{street} {number}, {town}",
        ("Musterweg", "Beispielstraße", "Fichtengrundweg", "Quellhofstraße", "Ahornwinkelweg", "Lindhofallee"),
        ("Musterstadt", "Neuenfelden", "Birkhausen am Tann", "Altenmoor"),
    ),
    "FR": (
        "{number} {street}, {town}",
        ("rue des Exemples", "rue du Puits Clair", "allée des Fauvettes", "chemin du Val Doré", "impasse du Tilleul"),
        ("Villeneuve-l'Exemple", "Montclair-sur-Orne", "Saint-Aubry", "Valdorée"),
    ),
    "ES": (
        "{street} {number}, {town}",
        ("Calle del Ejemplo", "Calle de la Fuente Clara", "Avenida del Olmo Viejo", "Paseo de las Encinas"),
        ("Villaejemplo", "Fuenteclara del Río", "Montalbo Nuevo", "Valdeolmos Alto"),
    ),
}
_SAME_PLACES = {"AT": "DE", "CH": "DE", "BE": "FR", "MX": "ES", "CL": "ES", "AR": "ES"}
_POSTCODE_ALONE = re.compile(r"[A-Z]{1,2}[0-9][0-9A-Z]?\s?[0-9][A-Z]{2}")
_MOST_NUMBER = 180
_MOST_ATTEMPTS = 200
"""A conversation with a thousand numbers may need more than a range for films has: then two share one."""


class Pseudonyms:
    """The made-up values of one conversation; `region` (ISO 3166) gives numbers and places their form."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._known: dict[tuple[str, str], str] = {}
        self._used: set[str] = set()
        self._makers: dict[str, Callable[[str, int], str]] = {
            "email": _email,
            "phone": self._phone,
            "iban": _iban,
            "card": _card,
            "national_id": _national_id,
            "ip": _ip,
            "address": self._address,
        }

    def of(self, finding: Finding) -> str:
        """The made-up value for what was found: equal for equal values, spacing and case aside."""
        if finding.kind == "name":
            return self._name(finding.value)
        key = comparable(finding.value)
        if finding.kind == "phone":
            key = re.sub(r"\D", "", key)[-9:] + ("+" if _is_international(finding.value) else "")
        return self._choose(finding.kind, key, finding.value, self._makers.get(finding.kind, _code))

    def _choose(self, kind: str, key: str, written: str, make: Callable[[str, int], str]) -> str:
        if (known := self._known.get((kind, key))) is not None:
            return known
        chosen = written
        for attempt in range(_MOST_ATTEMPTS):
            chosen = make(written, _seed(kind, key, attempt))
            if comparable(chosen) not in self._used and comparable(chosen) != key:
                break
        self._used.add(comparable(chosen))
        self._known[kind, key] = chosen
        return chosen

    def _name(self, written: str) -> str:
        """Word by word, so that `Ms Diaz`, `Ana` and `Ana Diaz` stay one person; particles and initials go."""
        parts = [part for part in written.split() if len(part.strip(".")) > 1 and part[:1].isupper()]
        parts = parts or [written]
        names = [
            self._choose("name", comparable(part), part, _given if place == 0 else _family)
            for place, part in enumerate(parts)
        ]
        name = " ".join(names)
        return name.upper() if written.isupper() and len(written) > 2 else name

    def _phone(self, written: str, seed: int) -> str:
        squeezed = re.sub(r"^00", "+", re.sub(r"[^\d+]", "", written))
        international = _is_international(written)
        region = self._region
        if international:
            region = next((place for place, (code, _, _) in _FICTITIOUS.items() if squeezed.startswith(code)), "GB")
        international = international or region not in _FICTITIOUS
        code, trunk, templates = _FICTITIOUS.get(region, _FICTITIOUS["GB"])
        number = _filled(templates[seed % len(templates)], seed // len(templates))
        return f"{code} {number}" if international else f"{trunk}{number}"

    def _address(self, written: str, seed: int) -> str:
        if _POSTCODE_ALONE.fullmatch(written):
            return _filled("ZZ## #ZZ", seed)
        form, streets, towns = _PLACES[_SAME_PLACES.get(self._region, self._region if self._region in _PLACES else "")]
        seed, number = divmod(seed, _MOST_NUMBER)
        seed, street = divmod(seed, len(streets))
        return form.format(number=number + 1, street=streets[street], town=towns[seed % len(towns)])


def _seed(kind: str, key: str, attempt: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{kind}\0{key}\0{attempt}".encode()).digest())


def _is_international(written: str) -> bool:
    return written.lstrip("(").startswith(("+", "00"))


def _filled(template: str, seed: int) -> str:
    """Each `#` becomes a digit."""
    pieces = []
    for character in template:
        if character == "#":
            seed, digit = divmod(seed, 10)
            character = str(digit)
        pieces.append(character)
    return "".join(pieces)


def _reshaped(written: str, seed: int, letters: str, fixed: int = 0) -> str:
    """Other letters and digits in the same places, after the first `fixed` characters."""
    pieces = [written[:fixed]]
    for character in written[fixed:]:
        if character.isdigit():
            seed, digit = divmod(seed, 10)
            character = str(digit)
        elif character.isalpha():
            seed, place = divmod(seed, len(letters))
            character = letters[place] if character.isupper() else letters[place].lower()
        pieces.append(character)
    return "".join(pieces)


def _given(_written: str, seed: int) -> str:
    return _GIVEN[seed % len(_GIVEN)] if seed % 97 else f"{_GIVEN[seed % len(_GIVEN)]}-{_FAMILY[seed // 97 % 48]}"


def _family(_written: str, seed: int) -> str:
    return _FAMILY[seed % len(_FAMILY)] if seed % 97 else f"{_FAMILY[seed % len(_FAMILY)]}-{_GIVEN[seed // 97 % 48]}"


def _email(_written: str, seed: int) -> str:
    """At the domains of RFC 2606."""
    seed, given = divmod(seed, len(_GIVEN))
    seed, family = divmod(seed, len(_FAMILY))
    domain = ("example.com", "example.net", "example.org")[seed % 3]
    return f"{_GIVEN[given]}.{_FAMILY[family]}@{domain}".lower()


def _iban(written: str, seed: int) -> str:
    """Check digits 00 never occur (ISO 13616)."""
    return f"{written[:2]}00{_reshaped(written[4:], seed, _LETTERS)}"


def _card(written: str, seed: int) -> str:
    """The issuer's first digit, and a check digit that is wrong."""
    number = _reshaped(written, seed, _LETTERS, fixed=1)
    if luhn(re.sub(r"\D", "", number)):
        number = f"{number[:-1]}{(int(number[-1]) + 1) % 10}"
    return number


def _national_id(written: str, seed: int) -> str:
    """Noughts where areas and dates of birth stand, and no scheme's check that fits."""
    for attempt in count():
        number = _reshaped(written, seed + attempt, _NEVER_ISSUED)
        for _ in range(min(4, sum(map(str.isdigit, number)) - 4)):
            number = re.sub(r"[1-9]", "0", number, count=1)
        if not is_identity_number(number):
            break
    return number


def _ip(written: str, seed: int) -> str:
    """From the blocks for documentation (RFC 5737, RFC 3849)."""
    if ":" in written:
        return f"2001:db8::{seed % 0xFFFF + 1:x}"
    seed, host = divmod(seed, 254)
    return f"{('192.0.2', '198.51.100', '203.0.113')[seed % 3]}.{host + 1}"


def _code(written: str, seed: int) -> str:
    """Orders and accounts keep the letters they begin with."""
    prefix = re.match(r"[^\W\d_]+(?=[^\w]|\d+$)", written)
    return _reshaped(written, seed, _LETTERS, fixed=prefix.end() if prefix else 0)
