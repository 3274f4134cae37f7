"""Which addresses are of the public internet: what a URL that somebody gave us may lead to.

`ipaddress.is_global` alone is no such check: it lets multicast pass, and addresses that
carry an IPv4 address inside, which a gateway on the way unpacks (NAT64, 6to4).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
"""What a host is called that only this machine's programs reach."""

_DENIED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network, RFC 791
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # shared, RFC 6598; a cloud's metadata is at 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's wire server, in the public space
        "169.254.0.0/16",  # link-local, RFC 3927; most clouds' metadata is at 169.254.169.254
        "172.16.0.0/12",  # private, RFC 1918
        "192.0.0.0/24",  # protocol assignments, RFC 6890
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",  # private, RFC 1918
        "198.18.0.0/15",  # benchmarks, RFC 2544
        "198.51.100.0/24",  # documentation, RFC 5737
        "203.0.113.0/24",  # documentation, RFC 5737
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_UNICAST = IPv6Network(
    "2000::/3"
)  # RFC 4291: all that is given out; loopback, local, mapped, NAT64 are not in it
_DENIED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, RFC 2928: Teredo among them, which carries IPv4
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, RFC 3056: carries IPv4
        "3fff::/20",  # documentation, RFC 9637
    )
)
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # RFC 5214: the interface carries IPv4 in its last four bytes


def is_public(text: str) -> bool:
    """Whether an address, written as text, is of the public internet; no name is ever looked up."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return _public_v4(address) if isinstance(address, IPv4Address) else _public_v6(address)


def _public_v4(address: IPv4Address) -> bool:
    return not any(address in network for network in _DENIED_V4)


def _public_v6(address: IPv6Address) -> bool:
    if address.scope_id is not None or address not in _GLOBAL_UNICAST:
        return False
    carries_v4 = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
    return not carries_v4 and not any(address in network for network in _DENIED_V6)
