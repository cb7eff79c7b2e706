"""Endpoints of nodes: URLs in one strict form.

``http`` or ``https``, a host in lower case (name, IPv4, or IPv6 in brackets), an optional port, an optional path.
ASCII only, no user, query or fragment. Written out here because the verdict is part of consensus, and URL libraries
change theirs from version to version.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 200
"""Longest endpoint."""

_URL = re.compile(
    r"https?://(?P<host>\[[0-9a-f:]{2,39}\]|[a-z0-9.-]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?(?:/[A-Za-z0-9._~/-]*)?"
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_OCTET = re.compile(r"0|[1-9][0-9]{0,2}")
_GROUP = re.compile(r"[0-9a-f]{1,4}")


def is_endpoint(url: str) -> bool:
    """Say whether ``url`` has the form of an endpoint."""
    match = _URL.fullmatch(url) if len(url) <= MAX_CHARACTERS else None
    if match is None or (match["port"] is not None and int(match["port"]) > 65_535):
        return False
    host = match["host"]
    if host.startswith("["):
        return _is_ipv6(host[1:-1])
    labels = host.split(".")
    if labels[-1].isdigit():  # A name's last label is never a number, so this can only be an address.
        return len(labels) == 4 and all(_OCTET.fullmatch(label) and int(label) <= 255 for label in labels)
    return all(_LABEL.fullmatch(label) for label in labels)


def _is_ipv6(text: str) -> bool:
    halves = text.split("::")
    groups = [group for half in halves for group in (half.split(":") if half else [])]
    complete = len(groups) == 8 if len(halves) == 1 else len(halves) == 2 and len(groups) <= 7
    return complete and all(_GROUP.fullmatch(group) for group in groups)
