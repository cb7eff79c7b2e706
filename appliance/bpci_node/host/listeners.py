"""Who listens on a TCP port of this machine."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

import psutil


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a port."""

    name: str
    pid: int


def holder_of(port: int) -> Holder | None:
    """Return who listens on ``port``, ``None`` if that can't be seen from here (another user's process)."""
    try:
        for item in psutil.net_connections("tcp"):
            if item.status == psutil.CONN_LISTEN and item.laddr and item.laddr.port == port and item.pid:
                return Holder(psutil.Process(item.pid).name(), item.pid)
    except psutil.Error:
        pass
    return None


def bind_failure(address: str, port: int) -> int | None:
    """Try to listen on ``port`` of ``address`` for a moment; return the system's error number, ``None`` if it works."""
    family = socket.AF_INET6 if isinstance(ip_address(address), IPv6Address) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno or errno.EIO
    return None
