"""Order and account numbers, and document numbers without a check digit: told by the noun before them."""

import re
from typing import Literal

from luthier.text.personal.context import FILLERS, NUMBER_WORDS, words_before

Reference = Literal["order", "account", "national_id", "product"]

_NOUNS: dict[Reference, str] = {
    "order": (
        "order orders purchase invoice invoices booking bookings reservation tracking parcel shipment consignment"
        " ticket tickets case cases incident rma return ref reference referenz confirmation po receipt"
        " bestellung bestell auftrag auftrags rechnung rechnungs sendung sendungs buchung buchungs vorgang vorgangs"
        " commande facture colis réservation dossier pedido factura reserva envío ordine fattura spedizione"
        " prenotazione bestelling factuur zending boeking zamówienie faktura encomenda fatura aktenzeichen"
    ),
    "account": (
        "account accounts acct customer client member membership policy contract subscriber subscription loyalty"
        " rewards user patient kunde kunden kd konto vertrag vertrags mitglied mitglieds versicherung versicherungs"
        " compte contrat abonné adhérent cliente cuenta contrato socio conto contratto klant lid klient umowa"
        " conta kund"
    ),
    "national_id": (
        "passport passports pasaporte passeport passaporto paspoort reisepass personalausweis ausweis identité"
        " identidad führerschein rijbewijs permis"
    ),
    "product": (
        "item items product products article articles serial sku model id ids ean isbn upc gtin asin imei version part"
        " artikel produkt modell produit producto artículo articolo prodotto barcode batch lot vin issn material"
        " asset device code-barres"
    ),
}
_NOUN = {noun: kind for kind, nouns in _NOUNS.items() for noun in nouns.split()}
_COMPOUND_ENDS = ("nummer", "nummern", "nr", "number", "numret")
_COMPOUNDS: tuple[tuple[str, Reference], ...] = (
    ("bestel", "order"),
    ("order", "order"),
    ("auftrag", "order"),
    ("rechnung", "order"),
    ("sendung", "order"),
    ("buchung", "order"),
    ("vorgang", "order"),
    ("factuur", "order"),
    ("zending", "order"),
    ("kunde", "account"),
    ("kund", "account"),
    ("klant", "account"),
    ("konto", "account"),
    ("vertrag", "account"),
    ("mitglied", "account"),
    ("versicherungs", "account"),
    ("rekening", "account"),
    ("contract", "account"),
    ("ausweis", "national_id"),
    ("personalausweis", "national_id"),
    ("pass", "national_id"),
    ("reisepass", "national_id"),
    ("führerschein", "national_id"),
    ("artikel", "product"),
    ("serien", "product"),
    ("produkt", "product"),
    ("modell", "product"),
)
_BELONGS = NUMBER_WORDS | {"ref", "reference"}
_DRIVING = frozenset(("driving", "driver", "drivers", "s"))
_CODE = re.compile(r"[A-Za-z0-9]+(?:[/.-][A-Za-z0-9]+)*")
_MORE_GROUPS = re.compile(r"(?: [0-9]{3,4}(?![0-9]))+")
_DATE = re.compile(r"[0-9]{1,4}([./-])[0-9]{1,2}\1[0-9]{1,4}")
_AMOUNT = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_WITH_UNIT = re.compile(r"[0-9]+[a-z]{1,5}")
_UNIT_AFTER = re.compile(r"[ \t]?(?:%|[$€£]|units?\b|euros?\b|pounds?\b|dollars?\b|eur\b|usd\b|gbp\b)", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_LONGEST = 30


def reference_before(text: str, start: int) -> tuple[Reference, bool] | None:
    """Of what the number at `start` is the number, and whether a word or sign such as `no.` or `#` says so."""
    explicit = text[start - 1 : start] in ("#", ":", "º", "°")
    before = words_before(text, start)
    place = len(before) - 1
    while place >= 0:
        word = before[place]
        if (kind := _noun(word, before[place - 1] if place else "")) is not None:
            if word in _BELONGS and (owner := _owner(before, place)) is not None:
                return owner, True
            return kind, explicit or word.endswith(_COMPOUND_ENDS)
        if word not in FILLERS:
            return None
        explicit = explicit or word in NUMBER_WORDS
        place -= 1
    return None


def code_at(text: str, start: int, floor: int = 0) -> tuple[int, int]:
    """The span of the whole code of letters, digits and `-/.` around the digit at `start`, not left of `floor`."""
    begin, lowest = start, max(floor, start - _LONGEST)
    while begin > lowest and (text[begin - 1].isalnum() or text[begin - 1] in "/.-"):
        begin -= 1
    while begin < start and not text[begin].isalnum():
        begin += 1
    matched = _CODE.match(text, begin, begin + 2 * _LONGEST)
    return (begin, matched.end()) if matched else (start, start)


def is_code(code: str) -> bool:
    """Whether it may be the number of something: enough digits, and neither date, amount nor length."""
    digits = sum(character.isdigit() for character in code)
    if digits < 4 and not (digits >= 2 and len(code) >= 5 and code.isupper()):
        return False
    if len(code) > _LONGEST or _DATE.fullmatch(code) or _AMOUNT.fullmatch(code):
        return False
    return _WITH_UNIT.fullmatch(code) is None


def reference_at(text: str, begin: int, end: int) -> tuple[Literal["order", "account", "national_id"], int] | None:
    """The kind of the code in `begin:end` by what stands before it, and where it ends, groups of digits included."""
    code = text[begin:end]
    found = reference_before(text, begin)
    if found is None or found[0] == "product":
        return None
    kind, explicit = found
    assert kind != "product"
    if kind == "national_id" and len(code) < 7:
        return None
    if code.isdigit():
        if len(code) == 4 and (more := _MORE_GROUPS.match(text, end)):
            return kind, more.end()
        if len(code) == 4 and (not explicit or _YEAR.fullmatch(code)):
            return None
        if not explicit and _UNIT_AFTER.match(text, end):
            return None
    return kind, end


def _noun(word: str, previous: str) -> Reference | None:
    if (kind := _NOUN.get(word)) is not None:
        return kind
    if word in ("licence", "license"):
        return "national_id" if previous in _DRIVING else None
    if word.endswith(_COMPOUND_ENDS):
        return next((kind for start, kind in _COMPOUNDS if word.startswith(start)), None)
    return None


def _owner(before: list[str], place: int) -> Literal["order", "account", "national_id"] | None:
    """`customer id`, `order code`: the noun before a bare id decides."""
    for word in reversed(before[max(0, place - 2) : place]):
        kind = _NOUN.get(word)
        if kind is not None and kind != "product":
            return kind
        if word not in FILLERS:
            return None
    return None
