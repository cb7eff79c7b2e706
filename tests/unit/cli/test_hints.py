"""Commands that alerts, console, wizard and documents name exist, and take what stands behind them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bpci_node.cli.main import cli
from bpci_node.runtime.doctor.catalog import EXAMINATIONS

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "ansible/roles/monitoring/files/usr/share/bpci/monitoring/rules"
TELLING = [*sorted(RULES.glob("*.yml")), *sorted((ROOT / "appliance/bpci_tui").rglob("*.py"))]
COMMAND = re.compile(r"'((?:sudo )?bpci [a-z][^'\n]*)'")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/spec").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
IN_BLOCK = re.compile(r"(?:^|&&|;)\s*(?:sudo )?(?:\S*/)?bpci ([^#\n&;<>|]*)", re.MULTILINE)
IN_TEXT = re.compile(r"`(?:sudo |ssh \S+ )?bpci ([a-z][^`\n]*)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def commands() -> list[str]:
    # A text may be broken into two literals anywhere.
    texts = [re.sub(r"\"\n\s+f?\"", "", path.read_text()) for path in TELLING]
    return sorted({found for text in texts for found in COMMAND.findall(text)})


def test_some_are_found() -> None:
    assert {"sudo bpci hardware report --register", "sudo bpci doctor unit --fix"} <= set(commands())


def find(words: list[str], told: str) -> tuple[click.Command, list[str]]:
    """Return the command that the first words name, and the words behind it."""
    command: click.Command | None = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if command.name == "update" and re.search(r"[./]", words[0]):
            words = ["apply", *words]  # 'bpci update FILE' is short for it.
        command, words = command.get_command(click.Context(command), words[0]), words[1:]
    assert command is not None, told
    return command, words


@pytest.mark.parametrize("told", commands())
def test_a_command_that_a_person_is_told_to_run_exists(told: str) -> None:
    command, words = find(shlex.split(told.removeprefix("sudo "))[1:], told)
    # Raises what is wrong with options and arguments; nothing is run.
    with command.make_context(told, words) as context:
        checks = context.params["checks"] if told.removeprefix("sudo ").startswith("bpci doctor") else ()
    assert set(checks) <= {examination.id for examination in EXAMINATIONS}


def pages_with(text: str) -> list[Path]:
    return [page for page in PAGES if text in page.read_text()]


def in_blocks(page: Path) -> Iterator[str]:
    """Yield the commands that a page shows as one types them."""
    text = page.read_text()
    # Blocks are set off by fences, or by four spaces.
    fenced = [block for language, block in BLOCK.findall(text) if language in {"", "sh"}]
    for block in [*fenced, *re.findall(r"^    (\S.*\n)", BLOCK.sub("", text), re.MULTILINE)]:
        yield from IN_BLOCK.findall(block)


@pytest.mark.parametrize("page", pages_with("bpci "), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_a_page_names_exist(page: Path) -> None:
    for told in in_blocks(page):
        command, words = find(shlex.split(told), told)
        with command.make_context(told, words):
            pass
    for told in IN_TEXT.findall(BLOCK.sub("", page.read_text())):
        # In a sentence a command may be named without all that it needs, or with what is optional in brackets.
        command, words = find(re.sub(r"[\[\]\\]", "", told).split(), told)
        known = {"--help"}.union(*(part.opts + part.secondary_opts for part in command.params))
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, told


@pytest.mark.parametrize("page", pages_with("]("), ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page: Path) -> None:
    assert [path for path in LINK.findall(page.read_text()) if not (page.parent / path).exists()] == []


def test_pages_show_commands() -> None:
    shown = {told.strip() for page in PAGES for told in in_blocks(page)}
    assert len(shown) > 80
    assert {"devnet down", "backup drill", "hardware report --register"} <= shown
