import json

import pytest

from bpci_node.cli.output import Progress, emit, fields, styled, table


def test_data_goes_to_standard_output_in_one_form(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"a": "ü"}, as_json=False, text_renderer=lambda data: f"a is {data['a']}")
    emit({"a": "ü"}, as_json=True, text_renderer=str)
    out, err = capsys.readouterr()
    first, _, rest = out.partition("\n")
    assert first == "a is ü"
    assert json.loads(rest) == {"a": "ü"}
    assert err == ""


def test_nothing_is_coloured_or_in_progress_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert styled("error:", fg="red") == "error:"
    progress = Progress()
    progress.update("half")
    progress.finish()
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_the_progress_line_is_rewritten_and_cleared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bpci_node.cli.output.is_interactive", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in styled("error:", fg="red")
    monkeypatch.setenv("NO_COLOR", "1")
    assert styled("error:", fg="red") == "error:"
    progress = Progress()
    progress.update("a long line")
    progress.update("short")
    progress.finish()
    assert capsys.readouterr().err == "\ra long line\rshort      \r     \r"


def test_tables_and_fields_are_aligned() -> None:
    assert table([["a", "bb"], ["ccc", "d"]], ["x", "y"]) == "x    y\na    bb\nccc  d"
    assert fields({"a": 1, "long": 2}) == "a:    1\nlong: 2"
