"""Epochs: the stretches of time that committees serve. Times are milliseconds since the ledger's genesis.

An epoch is as long as the governed parameter ``auction_epoch_ms`` says. A vote that changes it takes effect at the
beginning of the epoch after the next one, whose committee nobody can have begun to draw; so numbers only ever rise, and
an epoch that has been drawn keeps its bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

from bpci_node.chain.guardians import load_parameter
from bpci_node.chain.state import Overlay, View
from bpci_node.errors import NotFoundError
from bpci_node.primitives.record import load_record, save_record

LENGTH = "auction_epoch_ms"
"""The governed parameter."""
KEPT_SPANS = 16
"""Changes of the length that are remembered; each holds for two epochs or more."""

_ENTRY = b"auction-epochs"


@dataclass(frozen=True, slots=True)
class Span:
    """Epochs of one length, up to the next span."""

    number: int
    """The first of them."""
    begins_ms: int
    """When it begins."""
    length_ms: int
    """How long each is, at least 1."""


@dataclass(frozen=True, slots=True)
class Epochs:
    """The calendar of one ledger."""

    spans: tuple[Span, ...]
    """Ascending, at least one."""

    def number_at(self, ms: int) -> int:
        """Return the epoch that a moment belongs to.

        Raises:
            NotFoundError: so early a calendar is not kept any more (``auction.epoch_gone``).
        """
        span = next((item for item in reversed(self.spans) if item.begins_ms <= ms), None)
        if span is None:
            raise _gone()
        return span.number + (ms - span.begins_ms) // span.length_ms

    def begins_ms(self, number: int) -> int:
        """Return when an epoch begins, which is when the one before ends.

        Raises:
            NotFoundError: as :meth:`number_at`.
        """
        span = self._of(number)
        return span.begins_ms + (number - span.number) * span.length_ms

    def tickets_close_ms(self, number: int) -> int:
        """Return when the third quarter of an epoch ends, and with it the draw for the next one.

        Raises:
            NotFoundError: as :meth:`number_at`.
        """
        return self.begins_ms(number) + self._of(number).length_ms * 3 // 4

    def is_drawn(self, number: int, ms: int) -> bool:
        """Say whether the committee of an epoch can't change any more at a moment."""
        return number > 0 and ms >= self.tickets_close_ms(number - 1)

    def _of(self, number: int) -> Span:
        span = next((item for item in reversed(self.spans) if item.number <= number), None)
        if span is None:
            raise _gone()
        return span


def load_epochs(state: View) -> Epochs:
    """Return the calendar, a coming change of the length included."""
    data = state.get(_ENTRY)
    if data is None:
        return Epochs((Span(0, 0, load_parameter(state, LENGTH)),))
    return Epochs(tuple(Span(*item) for item in load_record(data)["spans"]))


def plan_length(state: Overlay, now_ms: int, length_ms: int) -> None:
    """Let epochs have another length from the one after the next on; the parameter itself is the caller's to write.

    Args:
        now_ms: block time since genesis.
    """
    epochs = load_epochs(state)
    number = epochs.number_at(now_ms) + 2
    kept = [span for span in epochs.spans if span.number < number]
    begins = Epochs(tuple(kept)).begins_ms(number)
    if kept[-1].length_ms != length_ms:
        kept.append(Span(number, begins, length_ms))
    spans = [[span.number, span.begins_ms, span.length_ms] for span in kept[-KEPT_SPANS:]]
    state.put(_ENTRY, save_record({"v": 1, "spans": spans}))


def _gone() -> NotFoundError:
    return NotFoundError("so early epochs are not kept any more", code="auction.epoch_gone")
