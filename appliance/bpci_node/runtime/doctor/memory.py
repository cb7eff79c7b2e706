"""Memory: whether work waits for it, how much is left, and whether the node was killed for want of it.

No repair: what else runs on the machine is its owner's to end.
"""

from __future__ import annotations

from pathlib import Path

from bpci_node.host.check import in_gib
from bpci_node.host.pressure import Pressure, read_available, read_kills, read_pressure
from bpci_node.host.result import CouldNotTellError, Verdict
from bpci_node.runtime.doctor.issue import Examination, Findings, Issue
from bpci_node.runtime.doctor.patient import UNIT, Patient

SOME_MILLI, FULL_MILLI = 200, 100
LEAST_PERCENT = 5
_GROUP = Path("/sys/fs/cgroup/system.slice") / UNIT
_MEANS = "everything slows down, and the kernel may end the node"
_ADVICE = "See what takes it with 'ps -eo rss,comm --sort=-rss', end what is not needed, or add memory."


def judge(pressure: Pressure | None, available: tuple[int, int] | None, kills: int) -> tuple[Issue, ...]:
    """Return what is wrong with the memory.

    Args:
        pressure: of the whole machine.
        available: bytes that are left, and all there are.
        kills: processes of the node that were killed for want of memory.
    """
    found = []
    if pressure is not None and pressure.full_milli >= FULL_MILLI:
        what = f"for {pressure.full_milli / 10:.0f} % of the last minute nothing went on for want of memory"
        found.append(Issue("memory.pressure", Verdict.FAIL, "", what, _MEANS, _ADVICE))
    elif pressure is not None and pressure.some_milli >= SOME_MILLI:
        what = f"for {pressure.some_milli / 10:.0f} % of the last minute programs waited for memory"
        found.append(Issue("memory.pressure", Verdict.WARN, "", what, _MEANS, _ADVICE))
    if available is not None and available[0] * 100 < available[1] * LEAST_PERCENT:
        what = f"only {in_gib(available[0])} of {in_gib(available[1])} are left"
        found.append(Issue("memory.low", Verdict.WARN, "", what, _MEANS, _ADVICE))
    if kills:
        found.append(
            Issue(
                "memory.killed",
                Verdict.WARN,
                UNIT,
                f"the kernel ended {kills} processes of the node for want of memory",
                "the node was started again each time; nothing that it acknowledged was lost",
                f"Lower limits.pool_bytes, or raise MemoryMax with 'systemctl edit {UNIT}'.",
            )
        )
    return tuple(found)


def _examine(patient: Patient) -> Findings:
    pressure = read_pressure(patient.system.path("/proc/pressure/memory"))
    available = read_available(patient.system.path("/"))
    if pressure is None and available is None:
        raise CouldNotTellError("the kernel does not tell how much memory is left")
    kills = read_kills(patient.system.path(str(_GROUP / "memory.events")))
    left = "" if available is None else f"{available[0] * 100 // available[1]} % left"
    waits = "" if pressure is None else f"{pressure.some_milli / 10:.0f} % of the time somebody waits"
    return Findings(", ".join(filter(None, (left, waits))), judge(pressure, available, kills))


MEMORY = Examination("memory", "Memory", _examine)
