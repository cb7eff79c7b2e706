import json
import stat
from pathlib import Path

import pytest

from bpci_node.access.accounts import FILE, Accounts, change, load
from bpci_node.access.roles import RIGHTS, Right, Role, require
from bpci_node.errors import AccessError, BpciError, FormatError

HASH = "$y$j9T$" + "a" * 22 + "$" + "b" * 43


def add(directory: Path, name: str, role: Role = Role.OWNER) -> Accounts:
    return change(directory, lambda found: found.with_new(name, role, HASH, now_ms=1))


def test_what_was_changed_is_read_back(tmp_path: Path) -> None:
    add(tmp_path, "ada")
    add(tmp_path, "eve", Role.VIEWER)
    found = load(tmp_path)
    assert {name: item.role for name, item in found.by_name.items()} == {"ada": Role.OWNER, "eve": Role.VIEWER}
    assert found.find("ada").password_hash == HASH


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    add(tmp_path, "ada")
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_without_a_file_there_is_nobody(tmp_path: Path) -> None:
    assert load(tmp_path).by_name == {}


@pytest.mark.parametrize("name", ["", "Ada", "1a", "a b", "a" * 33, "ada\n", "ä"])
def test_names_that_would_confuse_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BpciError) as caught:
        add(tmp_path, name)
    assert caught.value.code == "access.name"
    assert not (tmp_path / FILE).exists()


def test_a_name_is_given_once(tmp_path: Path) -> None:
    add(tmp_path, "ada")
    with pytest.raises(BpciError) as caught:
        add(tmp_path, "ada")
    assert caught.value.code == "access.taken"


def test_the_last_owner_stays(tmp_path: Path) -> None:
    add(tmp_path, "ada")
    add(tmp_path, "eve", Role.OPERATOR)
    for make in (lambda found: found.without("ada"), lambda found: found.with_role("ada", Role.VIEWER, now_ms=2)):
        with pytest.raises(BpciError) as caught:
            change(tmp_path, make)
        assert caught.value.code == "access.last_owner"
    change(tmp_path, lambda found: found.with_role("eve", Role.OWNER, now_ms=2))
    assert list(change(tmp_path, lambda found: found.without("ada")).by_name) == ["eve"]


def test_a_mark_changes_with_role_and_password() -> None:
    accounts = Accounts({}).with_new("ada", Role.OWNER, HASH, now_ms=1).with_new("b", Role.OWNER, HASH, now_ms=1)
    mark = accounts.find("ada").mark
    assert accounts.with_password("ada", HASH, now_ms=2).find("ada").mark != mark
    assert accounts.with_role("ada", Role.VIEWER, now_ms=1).find("ada").mark != mark


@pytest.mark.parametrize(
    "change_it",
    [
        pytest.param(lambda value: value | {"v": 2}, id="version"),
        pytest.param(lambda value: value | {"more": 1}, id="unknown name"),
        pytest.param(lambda value: value | {"accounts": value["accounts"] * 2}, id="twice"),
        pytest.param(lambda value: value | {"accounts": [value["accounts"][0] | {"role": "root"}]}, id="role"),
        pytest.param(lambda value: value | {"accounts": [value["accounts"][0] | {"password_hash": "x"}]}, id="hash"),
        pytest.param(lambda value: [value], id="list"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, change_it) -> None:
    add(tmp_path, "ada")
    path = tmp_path / FILE
    path.write_text(json.dumps(change_it(json.loads(path.read_text()))))
    with pytest.raises(FormatError) as caught:
        load(tmp_path)
    assert caught.value.code == "access.file"


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / ".accounts.lock").symlink_to(elsewhere)
    with pytest.raises(BpciError):
        add(tmp_path / "d", "ada")
    assert not elsewhere.exists()


def test_rights_grow_with_the_role() -> None:
    assert RIGHTS[Role.VIEWER] < RIGHTS[Role.OPERATOR] < RIGHTS[Role.OWNER] == frozenset(Right)
    with pytest.raises(AccessError) as caught:
        require(Role.VIEWER, Right.OPERATE)
    assert caught.value.code == "access.role"
    assert "owner, operator" in caught.value.hint
