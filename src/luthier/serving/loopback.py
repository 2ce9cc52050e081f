"""Which names and addresses mean this machine and no other."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether `host` is localhost, an address of 127.0.0.0/8 or ::1. Names are not looked up."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str:
    """The host in a Host header, without port and without the brackets of IPv6; empty if there is none.

    Only what RFC 9110 section 7.2 allows is taken: `name`, `name:port`, `[address]`, `[address]:port`.
    """
    if header.startswith("["):
        host, bracket, port = header[1:].partition("]")
        well_formed = bool(bracket) and (not port or (port[0] == ":" and _is_port(port[1:])))
    else:
        host, colon, port = header.partition(":")
        well_formed = not colon or _is_port(port)
    return host if well_formed else ""


def _is_port(text: str) -> bool:
    return text.isascii() and (not text or text.isdigit())
