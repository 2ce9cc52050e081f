"""E-mail addresses and addresses of computers."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

from luthier.text.personal.context import words_before

_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%'-]{0,63}[\w+%-]@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}")
_V6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{3,39}(?![\w:])")
_VERSION_TERMS = frozenset(
    [
        "version", "versions", "firmware", "build", "release", "v", "ver", "update", "software", "app", "driver",
        "bios", "sdk", "rev", "kernel", "patch", "java", "python", "upgrade", "downgrade",
    ]
)  # fmt: skip
_ADDRESS_TERMS = frozenset(
    ["ip", "ips", "ipv", "address", "addresses", "server", "host", "login", "logged", "signed", "client", "dns", "from"]
)
_OWN_TERMS = frozenset(("ip", "ips"))
_SHARED = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"))


def emails_in(text: str) -> Iterator[tuple[int, int]]:
    """Spans of e-mail addresses."""
    return (found.span() for found in _EMAIL.finditer(text))


def is_v4(text: str, start: int, end: int) -> bool:
    """Whether four numbers with points are the address of somebody's machine, and not a version.

    Loopback, masks and multicast are nobody's; private ones (RFC 1918) count only where `IP` stands before them, as
    instructions name the router's.
    """
    if text[start - 1 : start].isalnum() or text[end : end + 1].isalpha():
        return False
    try:
        address = ip_address(text[start:end])
    except ValueError:
        return False
    if not isinstance(address, IPv4Address) or address.is_loopback or address.is_multicast:
        return False
    if int(address) >> 24 in (0, 255):
        return False
    near = words_before(text, start, 80)
    if any(address in block for block in _SHARED):
        return bool(_OWN_TERMS.intersection(near[-5:]))
    return not _VERSION_TERMS.intersection(near) or bool(_ADDRESS_TERMS.intersection(near[-4:]))


def v6_in(text: str) -> Iterator[tuple[int, int]]:
    """Spans of IPv6 addresses, loopback left out."""
    for found in _V6.finditer(text):
        if found.group().count(":") < 2 or ("::" not in found.group() and found.group().count(":") != 7):
            continue
        try:
            address = IPv6Address(found.group())
        except ValueError:
            continue
        if not (address.is_loopback or address.is_unspecified) and any(map(str.isdigit, found.group())):
            yield found.span()
