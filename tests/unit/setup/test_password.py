"""Hashes of passwords by the system's libcrypt, which answers in one place for all threads."""

from typing import Any

import pytest

from bpci_node.errors import AccessError
from bpci_node.setup import password
from bpci_node.setup.password import hash_password, verify_password

GOOD = "correct horse battery"


class Watched:
    """The real library, and whether the turn was held at each call."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.turns: list[tuple[str, bool]] = []

    def crypt(self, *given: Any) -> Any:
        self.turns.append(("crypt", password._TURN.locked()))
        return self._library.crypt(*given)

    def crypt_gensalt(self, *given: Any) -> Any:
        self.turns.append(("crypt_gensalt", password._TURN.locked()))
        return self._library.crypt_gensalt(*given)


def test_a_password_is_told_from_another_by_its_hash() -> None:
    hashed = hash_password(GOOD)
    verify_password(GOOD, hashed)
    assert hashed != hash_password(GOOD), "salted"
    for other in ("", GOOD[:-1], GOOD + " ", "x" * 2000):
        with pytest.raises(AccessError) as caught:
            verify_password(other, hashed)
        assert caught.value.code == "access.sign_in"


def test_no_thread_gets_the_hash_of_another_s_password(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(password._libcrypt())
    monkeypatch.setattr(password, "_libcrypt", lambda: watched)
    verify_password(GOOD, hash_password(GOOD))
    assert watched.turns == [("crypt_gensalt", True), ("crypt", True), ("crypt", True)]
