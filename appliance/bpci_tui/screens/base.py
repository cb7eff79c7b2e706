"""What all screens of the wizard share: title line, body, one message, Back and Continue, a line of keys.

Enter goes on wherever the focus is; if an answer is missing or wrong, the focus goes there instead. Escape goes back
and keeps what was typed. Nothing needs a mouse, a colour, or more than 80×24 characters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from bpci_tui import flow
from bpci_tui.questions import Problem
from bpci_tui.widgets import Action

if TYPE_CHECKING:
    from bpci_tui.app import Wizard
    from bpci_tui.draft import Draft
    from bpci_tui.services import Services


class StepScreen(Screen[None]):
    """A screen of the wizard."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]

    AUTO_FOCUS = ""  # or Back had it for a moment, for all to see on a slow machine
    name_in_flow: ClassVar[str]
    """Key of :data:`bpci_tui.flow.TITLES`."""
    lead: ClassVar[str] = ""
    """What the screen is about, one or two sentences."""
    first: ClassVar[str] = "continue"
    """Id of the widget that has the focus at the beginning."""
    keys: ClassVar[str] = "Enter Continue   Esc Back   Tab Next field"
    """The line of keys."""
    can_go_back: ClassVar[bool] = True
    continue_label: ClassVar[str] = "Continue"

    @property
    def wizard(self) -> Wizard:
        """The app."""
        from bpci_tui.app import Wizard  # noqa: PLC0415 - the app imports screens by name, this is the way back

        assert isinstance(self.app, Wizard)  # noqa: S101 - tells the type checker what the wizard guarantees
        return self.app

    @property
    def draft(self) -> Draft:
        """What was typed so far."""
        return self.wizard.draft

    @property
    def services(self) -> Services:
        """The wizard's surroundings."""
        return self.wizard.services

    def compose(self) -> ComposeResult:
        """Yield the frame with this screen's body in it."""
        with Horizontal(id="title"):
            yield Static("BPCI Community OS", id="product")
            yield Static(self.place(), id="place")
        if self.lead:
            yield Static(self.lead, id="lead")
        with Vertical(id="body"):
            yield from self.body()
        yield Static("", id="message")
        with Horizontal(id="actions"):
            if self.can_go_back:
                yield Action("Back", id="back")
            yield Action(self.continue_label, id="continue")
        yield Static(self.keys, id="keys")

    def place(self) -> str:
        """Return the right half of the title line."""
        return flow.place(self.name_in_flow, offers_disk=self.wizard.offers_disk, encryption=self.wizard.encryption)

    def body(self) -> ComposeResult:
        """Yield what is special to this screen."""
        yield from ()

    def on_mount(self) -> None:
        """Put the focus where Enter goes on from."""
        self.query_one(f"#{self.first}").focus()

    def say(self, text: str) -> None:
        """Show a message below the body, instead of the one before."""
        self.query_one("#message", Static).update(text)

    def from_thread(self, function: Callable[..., None], *arguments: object) -> None:
        """Call a method of this screen from a worker's thread, unless the person has left the screen since."""

        def call() -> None:
            # A screen that was left hangs at the app until all that was in it is gone.
            if self.is_attached and self.is_mounted and self in self.app.screen_stack:
                function(*arguments)

        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(call)

    def collect(self) -> None:
        """Take what was typed into the draft."""

    def problem(self) -> Problem | None:
        """Return what is still missing or wrong, or ``None``."""
        return None

    def submit(self) -> None:
        """Leave this screen for the next one; every answer is there."""
        self.wizard.forward()

    def text(self, field: str) -> str:
        """Return what is typed in a field."""
        return self.query_one(f"#{field}", Input).value

    def on_submitted(self) -> None:
        """Enter in a field: go on if all is well, else to the first field that is not."""
        self.try_to_go_on()

    def on_action_pressed(self, event: Action.Pressed) -> None:
        """Back or Continue was chosen."""
        if event.action.id == "back":
            self.action_back()
        elif event.action.id == "continue":
            self.try_to_go_on()

    def try_to_go_on(self) -> None:
        """Leave for the next screen, or say what is in the way."""
        self.collect()
        problem = self.problem()
        if problem is None:
            self.say("")
            self.submit()
            return
        widget, message = problem
        target = self.query_one(f"#{widget}") if widget else None
        # A field that one has not come to yet is no mistake: the focus just moves on to it.
        not_reached = target is not None and not target.has_focus and isinstance(target, Input) and not target.value
        self.say("" if not_reached else f"! {message}")
        if target is not None:
            target.focus()

    def action_back(self) -> None:
        """Go back, and keep what was typed."""
        if self.can_go_back:
            self.collect()
            self.wizard.back()
