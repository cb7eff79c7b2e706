"""The state of the kernel's clock discipline, read by ``adjtimex`` without changing it.

This is what ``timedatectl`` reports as ``NTPSynchronized``, without a process or a bus, and it is the same whichever
daemon (chrony, systemd-timesyncd, ntpd) steers the clock.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_UNSYNCHRONIZED_US = 16_000_000  # the kernel's NTP_PHASE_LIMIT: from here on it calls itself unsynchronised


class _Timex(ctypes.Structure):
    # Source: linux/timex.h, struct timex, in the C types of adjtimex(2); all longs are the machine's own.
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time_seconds", ctypes.c_long),
        ("time_microseconds", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What the kernel knows of its own clock."""

    synchronized: bool
    """Whether a time daemon steers it and has done so lately."""
    max_error_us: int
    """Largest error that the kernel admits, microseconds; grows until the daemon updates it."""


def read_kernel_clock() -> KernelClock:
    """Return the state of the kernel's clock.

    Raises:
        OSError: the call is not permitted here.
    Source: adjtimex(2); the same rule as systemd's ``ntp_synced``.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    state = _Timex()
    outcome = libc.adjtimex(ctypes.byref(state))
    if outcome < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    unsynchronized = outcome == _TIME_ERROR or bool(state.status & _STA_UNSYNC) or state.maxerror >= _UNSYNCHRONIZED_US
    return KernelClock(synchronized=not unsynchronized, max_error_us=int(state.maxerror))
