"""The wizard's few widgets. Focus and choice show in characters, so that a terminal without colour shows them too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult, RenderResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Static


class Submitted(Message):
    """The person pressed Enter in a widget: on to the next screen."""


class Choice(Widget, can_focus=True):
    """One of several, with the arrow keys; Enter goes on with it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("home", "move(-999)", show=False),
        Binding("end", "move(999)", show=False),
        Binding("enter", "submit", show=False),
    ]

    index: reactive[int] = reactive(0)

    class Changed(Message):
        """Another option is chosen."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> Choice:
            """The widget, for selectors of handlers."""
            return self.choice

    def __init__(self, options: Sequence[tuple[str, str]], value: str, *, rows: int = 0, id: str) -> None:  # noqa: A002 - Textual's own name
        """Take the options.

        Args:
            options: value and label of each.
            value: the one that is chosen; the first if it is not there.
            rows: lines that are shown at once; 0 for all.
        """
        super().__init__(id=id)
        self._options = list(options)
        self._most = rows or len(self._options)
        self._rows = min(self._most, len(self._options))
        values = [item for item, _ in self._options]
        self.set_reactive(Choice.index, values.index(value) if value in values else 0)
        self.styles.height = self._rows

    @property
    def value(self) -> str:
        """The chosen value."""
        return self._options[self.index][0]

    def offer(self, options: Sequence[tuple[str, str]], value: str) -> None:
        """Offer other options, with ``value`` chosen among them if it is there."""
        self._options = list(options) or self._options
        values = [item for item, _ in self._options]
        self.set_reactive(Choice.index, values.index(value) if value in values else 0)
        self._rows = min(self._most, len(self._options))
        self.styles.height = self._rows
        self.refresh(layout=True)

    def validate_index(self, index: int) -> int:
        """Keep the choice among the options."""
        return max(0, min(index, len(self._options) - 1))

    def watch_index(self) -> None:
        """Tell the screen."""
        self.post_message(self.Changed(self))

    def action_move(self, by: int) -> None:
        """Choose an option further up or down."""
        self.index += by

    def action_submit(self) -> None:
        """Go on."""
        self.post_message(Submitted())

    def on_key(self, event: events.Key) -> None:
        """Jump to the next option that begins with the letter that was typed."""
        letter = (event.character or "").lower()
        if not letter.isalnum():
            return
        count = len(self._options)
        for step in range(1, count + 1):
            position = (self.index + step) % count
            if self._options[position][1].lower().startswith(letter):
                self.index = position
                event.stop()
                return

    def render(self) -> RenderResult:
        """Return the visible options."""
        first = max(0, min(self.index - self._rows // 2, len(self._options) - self._rows))
        lines = []
        for position, (_, label) in list(enumerate(self._options))[first : first + self._rows]:
            mark = "(•)" if position == self.index else "( )"
            focus = ">" if position == self.index and self.has_focus else " "
            style = "bold" if position == self.index else ""
            lines.append(Text(f"{focus} {mark} {label}", style=style, no_wrap=True, overflow="ellipsis"))
        return Text("\n").join(lines)


class Field(Horizontal):
    """A label and a line to type in."""

    def __init__(
        self,
        label: str,
        value: str,
        *,
        id: str,  # noqa: A002 - Textual's own name
        password: bool = False,
        placeholder: str = "",
        suggester: Suggester | None = None,
    ) -> None:
        super().__init__(id=f"{id}-row")
        self._label = label
        self._input = Input(
            value, placeholder, password=password, compact=True, select_on_focus=False, suggester=suggester, id=id
        )
        self._input.cursor_blink = False

    def compose(self) -> ComposeResult:
        """Yield label and line."""
        yield Static(f"  {self._label}", classes="label")
        yield self._input

    def on_descendant_focus(self) -> None:
        """Mark the label of the line in which one types."""
        self.query_one(".label", Static).update(f"> {self._label}")

    def on_descendant_blur(self) -> None:
        """Take the mark away."""
        self.query_one(".label", Static).update(f"  {self._label}")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on."""
        event.stop()
        self.post_message(Submitted())


class Action(Widget, can_focus=True):
    """Something to do, such as going back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "press", show=False)]

    label: reactive[str] = reactive("", layout=True)

    class Pressed(Message):
        """It was chosen."""

        def __init__(self, action: Action) -> None:
            super().__init__()
            self.action = action

        @property
        def control(self) -> Action:
            """The widget, for selectors of handlers."""
            return self.action

    def __init__(self, label: str, *, id: str) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self.set_reactive(Action.label, label)

    def action_press(self) -> None:
        """Do it."""
        self.post_message(self.Pressed(self))

    def render(self) -> RenderResult:
        """Return the label, marked when it has the focus."""
        return Text(f"> {self.label} <" if self.has_focus else f"  {self.label}  ", no_wrap=True)
