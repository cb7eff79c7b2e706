"""``bpci access`` on a directory of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bpci_node.access.actions import FILE
from bpci_node.cli.access import command
from bpci_node.errors import BpciError

PASSWORD = "four random words here"


def run(directory: Path, *arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(command, [*arguments, "--dir", str(directory)], input=typed)


def shown(directory: Path, *arguments: str) -> Any:
    done = run(directory, *arguments, "--json")
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def refused(directory: Path, *arguments: str, typed: str | None = None) -> str:
    error = run(directory, *arguments, typed=typed).exception
    assert isinstance(error, BpciError), error
    return error.code


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    done = run(tmp_path, "add", "ada", "--role", "owner", "--password-file", "-", typed=f"{PASSWORD}\n")
    assert done.exit_code == 0, done.exception
    return tmp_path


def test_what_is_done_to_accounts_is_done_and_recorded(directory: Path) -> None:
    done = run(directory, "add", "eve", "--password-file", "-", typed=f"{PASSWORD}\n")
    assert "may sign in as viewer" in done.stdout
    shown(directory, "role", "eve", "operator")
    assert [(item["name"], item["role"]) for item in shown(directory, "list")["accounts"]] == [
        ("ada", "owner"),
        ("eve", "operator"),
    ]
    assert refused(directory, "remove", "ada", "--yes") == "access.last_owner"
    shown(directory, "remove", "eve", "--yes")
    records = shown(directory, "log")["records"]
    assert [(item["what"], item["about"], item["result"]) for item in records[2:]] == [
        ("account.add", "eve", "begun"),
        ("account.add", "eve", "done"),
        ("account.role", "eve", "begun"),
        ("account.role", "eve", "done"),
        ("account.remove", "ada", "begun"),
        ("account.remove", "ada", "access.last_owner"),
        ("account.remove", "eve", "begun"),
        ("account.remove", "eve", "done"),
    ]
    assert PASSWORD not in (directory / FILE).read_text()


def test_a_password_that_is_too_long_is_refused_and_not_cut(directory: Path) -> None:
    long = "correct horse battery " * 40
    assert refused(directory, "password", "ada", "--password-file", "-", typed=f"{long}\n") == "usage.password"


@pytest.mark.parametrize("form", ["{}", "0x{}", " {}\n"])
def test_a_digest_is_found_as_the_journal_and_the_pages_write_it(directory: Path, form: str) -> None:
    head = shown(directory, "log", "--verify")["head"]
    for digest in (head, head.upper()):
        assert shown(directory, "log", "--verify", "--head", form.format(digest))["last"] == 2


def test_a_digest_that_is_not_there_is_told_from_one_that_is_none(directory: Path) -> None:
    assert refused(directory, "log", "--verify", "--head", "0" * 64) == "access.log"
    for none in ("", "5e0b...", "0" * 63, "g" * 64):
        assert refused(directory, "log", "--verify", "--head", none) == "usage.call"
    assert refused(directory, "log", "--head", "0" * 64) == "usage.call"


def test_a_machine_that_is_not_set_up_is_told_so(tmp_path: Path) -> None:
    assert refused(tmp_path / "none", "list") == "access.none"
