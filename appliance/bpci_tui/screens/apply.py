"""The plan is carried out; each step shows how it goes. A step that fails says what to do, and can be tried again."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from bpci_node.errors import BpciError
from bpci_node.setup.run import Event, carry_out
from bpci_node.setup.steps import steps_for, summary
from bpci_tui.applying import make_run, planned
from bpci_tui.questions import Problem, in_words
from bpci_tui.screens.base import StepScreen

MARKS = {"begins": "...", "done": "ok", "skipped": "ok", "failed": "FAILED"}


class Apply(StepScreen):
    """Carries out the plan."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "retry", show=False)]
    name_in_flow = "apply"
    keys = "Please wait; a power cut now does no harm, set-up goes on where it stopped."
    continue_label = "Try again"

    def body(self) -> ComposeResult:
        """Yield one line per step."""
        self._plan = planned(self.services, self.draft)
        self._states: dict[str, str] = {}
        self._detail = ""
        self._is_running = False
        self._has_failed = False
        yield Static("", id="steps")

    def on_mount(self) -> None:
        """Begin."""
        super().on_mount()
        self.begin()

    def begin(self) -> None:
        """Carry the plan out from where the journal says."""
        self._is_running, self._has_failed, self._states = True, False, {}
        self.services.turn.note(is_writing=True)
        self.query_one("#actions").display = False
        self.say("")
        self._draw()
        self._carry_out()

    def action_back(self) -> None:
        """Go back to change an answer, once a step has failed."""
        if self._has_failed:
            super().action_back()

    def action_retry(self) -> None:
        """Try again after a failure."""
        if self._has_failed:
            self.begin()

    def problem(self) -> Problem | None:
        """There is nothing to type here."""
        return None

    def submit(self) -> None:
        """Try again."""
        self.action_retry()

    @work(thread=True, exclusive=True)
    def _carry_out(self) -> None:
        try:
            run = make_run(self.services, self.draft, self._plan, lambda text: self.from_thread(self._tell, text))
            self._journal = run.journal
            carry_out(run, steps_for(self._plan), lambda event: self.from_thread(self._watch, event))
            done = summary(run)
        except BpciError as error:
            self.from_thread(self._failed, error)
        else:
            self.from_thread(self._succeeded, done)

    def _tell(self, text: str) -> None:
        self._detail = text
        self._draw()

    def _watch(self, event: Event) -> None:
        self._states[event.step.id] = event.state
        self._detail = ""
        if event.step.id == "keys" and event.state in ("done", "skipped"):
            # The keys are at rest: from here on nobody needs the phrase.
            self.draft.kept_did = str(self._journal.results["did"])
        self._draw()

    def _draw(self) -> None:
        lines = Text()
        for step in steps_for(self._plan):
            state = self._states.get(step.id, "")
            lines.append(f"{MARKS.get(state, ''):<7}{step.title}", style="bold" if state == "begins" else "")
            lines.append(f"  {self._detail}\n" if state == "begins" and self._detail else "\n")
        self.query_one("#steps", Static).update(lines)

    def _failed(self, error: BpciError) -> None:
        self._is_running, self._has_failed = False, True
        self.services.turn.note(is_writing=False)
        self.say(f"! {in_words(error)}")
        self.query_one("#actions").display = True
        self.query_one("#keys", Static).update("Enter Try again   Esc Back, to change an answer")
        self.query_one("#continue").focus()

    def _succeeded(self, done: dict[str, object]) -> None:
        self._is_running = False
        self.draft.phrase = self.draft.disk_key = self.draft.restored = self.draft.password = self.draft.repeated = ""
        self.wizard.result = done
        self.wizard.forward()


SCREEN = Apply
