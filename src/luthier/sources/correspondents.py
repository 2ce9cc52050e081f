"""Which mails of a mailbox answer each other, and which of the addresses are the company's."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from luthier.text import bare_subject, is_reply

_MAILBOX_PROVIDERS = frozenset(
    {"gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "ymail.com"}
    | {"icloud.com", "me.com", "mac.com", "aol.com", "gmx.net", "gmx.de", "web.de", "t-online.de", "freenet.de"}
    | {"mail.com", "proton.me", "protonmail.com", "zoho.com", "yandex.ru", "mail.ru", "qq.com", "163.com", "orange.fr"}
    | {"free.fr", "laposte.net", "wanadoo.fr", "libero.it", "virgilio.it", "ziggo.nl", "btinternet.com", "comcast.net"}
    | {"hotmail.co.uk", "yahoo.co.uk", "hotmail.fr", "yahoo.fr", "hotmail.de", "yahoo.de", "hotmail.it", "hotmail.es"}
)
"""Domains under which people who have nothing to do with each other write."""


@dataclass(frozen=True, slots=True)
class Company:
    """Whose mails are those of agents: addresses, and domains with all that is below them."""

    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()

    def __contains__(self, address: object) -> bool:
        domain = str(address).rpartition("@")[2]
        parents = {domain.split(".", dots)[-1] for dots in range(domain.count(".") + 1)}
        return address in self.addresses or not self.domains.isdisjoint(parents)


class Mail(NamedTuple):
    """Where a mail stands in its file, in bytes and lines, and its headers; `sent` in seconds since 1970."""

    start: int
    length: int
    line: int
    message_id: str
    references: tuple[str, ...]
    sender: str
    reply_to: str
    recipients: tuple[str, ...]
    subject: str
    sent: float | None
    automatic: bool

    def author(self, company: Company) -> str:
        """The sender, or whom to answer where the company's own web form wrote to the company."""
        from_form = self.sender in company and self.reply_to and any(each in company for each in self.recipients)
        return self.reply_to if from_form else self.sender


def in_threads(mails: Sequence[Mail]) -> list[list[Mail]]:
    """The mails in threads, in the order of the threads' first mails; inside by date where all have one.

    Mails that name each other, or the same mail, are of one thread, whatever the order or circle they do it in. One
    whose subject begins with "Re:" and that names none joins the thread of the same subject before it in which its
    sender or recipients take part. Of mails with the same Message-ID the first counts.
    """
    leads: dict[str, str] = {}
    unique = list({mail.message_id: mail for mail in reversed(mails)}.values())[::-1]
    for mail in unique:
        for other in mail.references:
            _join(leads, other, mail.message_id)
    known = {mail.message_id for mail in unique}
    spoken: dict[str, list[Mail]] = defaultdict(list)
    for mail in unique:
        subject = bare_subject(mail.subject).casefold()
        if subject and is_reply(mail.subject) and known.isdisjoint(mail.references):
            parties = {mail.sender, *mail.recipients}
            earlier = (each for each in reversed(spoken[subject]) if parties & {each.sender, *each.recipients})
            if (found := next(earlier, None)) is not None:
                _join(leads, found.message_id, mail.message_id)
        spoken[subject].append(mail)
    threads: dict[str, list[Mail]] = defaultdict(list)
    for mail in unique:
        threads[_lead(leads, mail.message_id)].append(mail)
    return [_by_date(thread) for thread in threads.values()]


def company_of(threads: Sequence[Sequence[Mail]], agents: Sequence[str]) -> Company:
    """The company: `agents`, addresses such as a@b.example and domains such as @b.example, where there are any.

    Else the domain that takes part in most threads, or the address where people of many companies share the domain;
    of equal ones the one to whom threads are first addressed.
    """
    if agents:
        named = [agent.strip().lower() for agent in agents]
        addresses = frozenset(agent for agent in named if not agent.startswith("@") and "@" in agent)
        return Company(addresses, frozenset(agent.lstrip("@") for agent in named if agent not in addresses))
    counts: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for thread in threads:
        counts.update({_party(address) for mail in thread for address in (mail.sender, *mail.recipients) if address})
        asked.update({_party(address) for address in thread[0].recipients})
    if not counts:
        return Company()
    main = max(counts, key=lambda party: (counts[party], asked[party]))
    return Company(frozenset({main})) if "@" in main else Company(domains=frozenset({main}))


def _party(address: str) -> str:
    domain = address.rpartition("@")[2]
    return address if domain in _MAILBOX_PROVIDERS else domain


def _by_date(thread: list[Mail]) -> list[Mail]:
    dates = [mail.sent for mail in thread]
    if any(date is None for date in dates):
        return thread
    return sorted(thread, key=lambda mail: mail.sent or 0.0)


def _lead(leads: dict[str, str], identity: str) -> str:
    """The mail that stands for the thread; the way there is shortened."""
    path = []
    while (lead := leads.get(identity, identity)) != identity:
        path.append(identity)
        identity = lead
    leads.update(dict.fromkeys(path, identity))
    return identity


def _join(leads: dict[str, str], one: str, other: str) -> None:
    first, second = _lead(leads, one), _lead(leads, other)
    if first != second:
        leads[second] = first
