"""Names of people: those of a list, and those whose role a phrase gives away. Found often, promised never."""

import re
from collections.abc import Iterable, Iterator, Mapping

from luthier.text.overlap import words

_FIRST = r"[A-ZÀ-ÖØ-ÞĀŁŚŞŠŽİ]"
_PART = rf"(?:O['’]|Mc|Mac|D['’])?{_FIRST}[^\W\d_]*(?:['’-]{_FIRST}[^\W\d_]*)*"
_PARTICLE = r"(?:van der|van den|van de|van|von|de la|de|del|da|di|dos|el|al|bin|ten|ter|zu)"
_FULL = rf"{_PART}(?: (?:{_FIRST}\.|{_PARTICLE}|{_PART})(?: (?:{_PARTICLE}|{_PART}))?)?(?: {_PART})?"
_NAME = rf"(?P<name>{_FULL})(?![\w'’])"
_TITLE = (
    r"(?:Mrs?|Ms|Miss|Mx|Dr|Prof|Sir|Madam|Herrn?|Frau|Familie|Mme|Mlle|Monsieur|Madame|Mademoiselle|Sra?|Srta|Señora?|Don|Doña"
    r"|Dhr|Mevr|Mevrouw|Meneer|Sig|Sig\.ra|Signora?|Dott|Pan|Pani)\.?"
)
_GREETING = (
    r"(?:Dear|Hi|Hello|Hey|Hiya|Good (?:morning|afternoon|evening)|Sehr geehrte[rs]?|Liebe[rs]?|Hallo"
    r"|Guten (?:Tag|Morgen|Abend)|Moin|Bonjour|Bonsoir|Chère?|Hola|Estimad[oa]|Querid[oa]|Buen(?:os|as) (?:días|tardes)"
    r"|Beste|Geachte|Dag|Ciao|Gentile|Buongiorno|Olá|Prezad[oa]|Caro|Cara|Hej)"
)
_SELF = (
    r"(?:[Mm]y name(?:'s|’s| is)|(?:I am|I'm|I’m) called|[Tt]his is"
    r"|[Yy]ou(?:'re|’re| are) (?:chatting|speaking|talking) (?:with|to)|[Mm]ein Name ist|[Ii]ch hei(?:ß|ss)e"
    r"|[Jj]e m['’]appelle|[Mm]on nom est|[Mm]e llamo|[Mm]i nombre es|[Ss]oy|[Ii]k heet|[Mm]ijn naam is|[Mm]i chiamo"
    r"|[Mm]eu nome é|[Jj]ag heter|a nombre de|[Ii]m Auftrag von|Kontoinhaber(?:in)?|[Aa]ccount holder|[Aa]gent"
    r"|[Cc]ustomer [Nn]ame|[Ff]ull [Nn]ame|[Ff]irst [Nn]ame|[Ll]ast [Nn]ame"
    r"|(?<![\w-])\"?[Nn]ame\"?:|contact person|reach)"
)
_CLOSING = (
    r"(?:(?:(?:Kind|Best|Warm|Many)(?:est)? )?[Rr]egards|Best(?: wishes)?|Yours(?: (?:sincerely|faithfully|truly))?"
    r"|Sincerely(?: yours)?|Cheers|(?:Many )?[Tt]hanks(?: (?:again|in advance|and regards))?|Thank you"
    r"|(?:Mit )?(?:freundlichen|besten|lieben|herzlichen) Grü(?:ß|ss)en"
    r"|(?:Viele|Beste|Liebe|Freundliche|Schöne) Grü(?:ß|ss)e|Gru(?:ß|ss)|LG|MfG|(?:Bien |Très )?[Cc]ordialement"
    r"|Bien à vous|Sincères salutations|(?:Un )?[Ss]aludos?(?: cordial(?:es)?)?|Atentamente"
    r"|(?:Met )?(?:vriendelijke )?[Gg]roet(?:en|jes)?|Cordiali saluti|Distinti saluti|Saluti|Grazie"
    r"|Atenciosamente|Med vänliga hälsningar)"
)
_ROLES = (
    re.compile(rf"\b{_GREETING},? (?:{_TITLE} )?{_NAME}(?=\s*[,!.:;\n]|$| and )"),
    re.compile(rf"\b{_TITLE} {_NAME}"),
    re.compile(rf"{_SELF}[\":]*\s+\"?(?:{_TITLE} )?{_NAME}"),
    re.compile(rf"(?m:^|(?<=[.!?] )){_NAME}(?= here\b| speaking\b| from (?:support|billing|customer)\b)"),
    re.compile(rf"\b{_CLOSING},?[ ]*\n+[ ]*{_NAME}[ ]*(?=\n|$)"),
)
_CUES = re.compile(
    r"dear|h[ie]|good|geehrt|lieb|hallo|guten|moin|bon|ch[eè]r|[ho]ol[aá]|estimad|querid|bue|best|geachte|dag|ciao|gentil|olá"
    r"|prezad|car[oa]|hej|m[rsx]|dr|prof|sir|madam|herr|frau|fam|mme|mlle|mons|sr|se|don|dhr|mev|sig|dott|pan|name|nombre"
    r"|i['’]m|this|you|mein|ich|je|mon|llamo|soy|ik|mijn|chiamo|meu|jag|konto|account|agent|contact|reach|here|speak|from"
    r"|regard|your|sinc|cheers|thank|gr[uü]|lg|mfg|cord|bien|salu|atent|groet|graz|atenc|med",
    re.IGNORECASE,
)
_NOBODY = frozenset(
    [
        "sir", "madam", "customer", "customers", "team", "support", "service", "all", "everyone", "everybody",
        "there", "friend", "friends", "sirs", "colleague", "guest", "member", "user", "client", "agent", "damen",
        "herren", "kunde", "kundin", "kunden", "zusammen", "tous", "toutes", "monsieur", "madame", "client",
        "cliente", "equipo", "todos", "klant", "heer", "mevrouw", "again", "you", "the", "this", "that", "it", "i",
        "we", "they", "he", "she", "what", "where", "when", "how", "why", "who", "please", "thanks", "thank", "hello",
        "hi", "hey", "good", "morning", "afternoon", "evening", "my", "your", "our", "is", "are", "can", "could",
        "would", "i'm", "not", "just", "happy", "sorry", "glad", "waiting", "customercare", "care", "account",
        "billing", "sales", "help", "desk", "helpdesk", "order", "und", "y", "et", "and", "or", "no", "yes", "ok",
        "okay", "null", "none",
    ]
)  # fmt: skip


def names_by_role(text: str) -> Iterator[tuple[int, int]]:
    """Spans of names that a greeting, a title, a signature or an introduction announces."""
    if not _CUES.search(text):
        return
    for role in _ROLES:
        for found in role.finditer(text):
            span = _without_nobody(found["name"], found.start("name"))
            if span is not None:
                yield span


def name_index(names: Iterable[str]) -> dict[str, list[tuple[str, ...]]]:
    """Names of a list by their first word, longest first, for `names_of_list`."""
    index: dict[str, list[tuple[str, ...]]] = {}
    for name in names:
        parts = tuple(words(name))
        if parts:
            index.setdefault(parts[0], []).append(parts)
    return {first: sorted(set(entries), key=lambda parts: (-len(parts), parts)) for first, entries in index.items()}


_WORD = re.compile(r"[^\W_]+")


def names_of_list(text: str, index: Mapping[str, list[tuple[str, ...]]]) -> Iterator[tuple[int, int]]:
    """Spans of the names of `name_index`, in any case but not without a capital where they are one word."""
    if not index:
        return
    found = list(_WORD.finditer(text))
    lower = [match.group().lower() for match in found]
    for place, first in enumerate(lower):
        for parts in index.get(first, ()):
            last = place + len(parts) - 1
            if tuple(lower[place : last + 1]) != parts:
                continue
            span = found[place].start(), found[last].end()
            if len(parts) > 1 or text[span[0]].isupper():
                yield span
                break


def _without_nobody(name: str, start: int) -> tuple[int, int] | None:
    """The span less words at its end that are no name; None where nothing is left."""
    parts = name.split(" ")
    for kept, part in enumerate(parts):
        if part.lower().strip("'’.") in _NOBODY:
            parts = parts[:kept]
            break
    written = " ".join(parts)
    return (start, start + len(written)) if len(written) > 1 else None
