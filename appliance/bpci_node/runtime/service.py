"""What a service manager wants of a node: readiness, watchdog, structured logs.

Under systemd messages go to the journal with fields; elsewhere they are lines on standard error. Without a service
manager the notifications go nowhere.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from systemd import daemon, journal

from bpci_node.errors import BpciError


def set_up_logging(identifier: str = "bpci-node") -> None:
    """Send all messages of the process to the journal if systemd listens, else to standard error."""
    handler: logging.Handler
    if _is_stderr_the_journal():
        handler = journal.JournalHandler(SYSLOG_IDENTIFIER=identifier)
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    # The HTTP libraries speak of every request; the node's own metrics count them.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _is_stderr_the_journal() -> bool:
    """Compare device and inode, because children inherit the variable. Source: systemd.exec(5), $JOURNAL_STREAM."""
    stream = os.fstat(sys.stderr.fileno())
    return os.environ.get("JOURNAL_STREAM") == f"{stream.st_dev}:{stream.st_ino}"


def log_error(log: logging.Logger, what: str, error: BpciError) -> None:
    """Write an error with its code as a field of the journal."""
    log.error("%s: %s", what, error.message, extra={"BPCI_CODE": error.code})


def notify(**assignments: Any) -> None:
    """Tell the service manager, such as ``notify(READY=1, STATUS="...")``."""
    daemon.notify("\n".join(f"{name}={value}" for name, value in assignments.items()))


def watchdog_seconds() -> float | None:
    """Return how often the watchdog must be fed, ``None`` if there is none."""
    text, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 1_000_000
