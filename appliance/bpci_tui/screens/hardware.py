"""Second screen: the machine is measured, and held against what a community node needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from bpci_tui.questions import Problem, verdict
from bpci_tui.screens.base import StepScreen

if TYPE_CHECKING:
    from bpci_node.host.check import Check
    from bpci_node.host.result import CheckResult, HardwareReport
    from bpci_node.host.runner import Step

MARKS = {
    "pass": ("ok", "#7fd962"),
    "warn": ("note", "#ffd166"),
    "fail": ("FAILS", "bold #ff6b6b"),
    "unknown": ("?", "#d78cff"),
}
"""Word and colour of a verdict. Colours by name would be Textual's own, whose red and yellow a text console shows as
magenta and red."""


class Hardware(StepScreen):
    """Runs the checks, shows each result as it comes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "again", show=False)]
    name_in_flow = "hardware"
    keys = "Enter Continue   Esc Back   R Measure again"

    def body(self) -> ComposeResult:
        """Yield one line per check, filled in as they run."""
        yield Static("", id="results")

    def on_mount(self) -> None:
        """Measure, unless that was done before."""
        super().on_mount()
        if self.draft.report is None:
            self._measure()
        else:
            self._show(self.draft.report)

    def action_again(self) -> None:
        """Measure again."""
        if self.draft.report is not None:
            self.draft.report = None
            self._measure()

    def problem(self) -> Problem | None:
        """Wait for the checks."""
        return None if self.draft.report else ("", "The checks are still running; this takes a few seconds.")

    def _show(self, report: HardwareReport) -> None:
        self._lines(list(report.results), "")
        self.say(verdict(report))

    def _lines(self, results: list[CheckResult], running: str) -> None:
        lines = []
        for result in results:
            mark, colour = MARKS[result.verdict.value]
            line = Text(f"{mark:<6}", style=colour)
            line.append(f"{result.title:<14}{result.text}", style="default")
            if result.verdict.value in ("fail", "warn"):
                line.append(f"  ({result.requirement})", style="dim")
            lines.append(line)
        if running:
            lines.append(Text(f"...   {running}"))
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        self.query_one("#results", Static).update(Text("\n").join(lines))

    @work(thread=True, exclusive=True)
    def _measure(self) -> None:
        from bpci_node.setup.hardware import hold_against, local_checks  # noqa: PLC0415 - while the screen is up already

        results: list[CheckResult] = []

        def tell(step: Step) -> None:
            if step.result is not None:
                results.append(step.result)
            self.from_thread(self._lines, list(results), step.title if step.result is None else "")

        given = self.services.checks
        checks = local_checks() if given is None else local_checks(given)
        report = hold_against(self.services.system, checks, "community", tell, offers_disk=self.wizard.offers_disk)
        self.from_thread(self._finished, checks, report)

    def _finished(self, checks: list[Check], report: HardwareReport) -> None:
        self.draft.checks, self.draft.report = checks, report
        self._show(report)


SCREEN = Hardware
