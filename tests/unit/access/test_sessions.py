import pytest

from bpci_node.access import sessions
from bpci_node.access.accounts import Accounts
from bpci_node.access.roles import Role
from bpci_node.access.sessions import IDLE_SECONDS, LONGEST_SECONDS, Sessions
from bpci_node.access.throttle import ACCOUNT_SECONDS, ADDRESS_SECONDS, FREE, MAX_SOURCES, Throttle
from bpci_node.errors import AccessError, LimitError

HASH = "$y$j9T$" + "a" * 22 + "$" + "b" * 43


@pytest.fixture
def accounts() -> Accounts:
    return Accounts({}).with_new("ada", Role.OWNER, HASH, now_ms=1).with_new("eve", Role.VIEWER, HASH, now_ms=1)


def is_open(found: Sessions, token: str, accounts: Accounts, now: float) -> bool:
    try:
        found.find(token, accounts, now=now)
    except AccessError as error:
        return error.code != "access.session"
    return True


def test_a_session_is_found_by_its_token_alone(accounts: Accounts) -> None:
    found = Sessions()
    token = found.begin(accounts.find("ada"), now=0.0)
    assert found.find(token, accounts, now=1.0).name == "ada"
    for other in ("", token[:-1], token + "A", "x" * 43):
        assert not is_open(found, other, accounts, 1.0)


def test_tokens_are_not_kept(accounts: Accounts) -> None:
    found = Sessions()
    token = found.begin(accounts.find("ada"), now=0.0)
    assert token not in repr(found._open)
    assert len(token) == 43


def test_it_ends_without_use_and_it_ends_anyhow(accounts: Accounts) -> None:
    found = Sessions()
    token = found.begin(accounts.find("ada"), now=0.0)
    assert not is_open(found, token, accounts, IDLE_SECONDS + 1)
    token, now = found.begin(accounts.find("ada"), now=0.0), 0.0
    while now < LONGEST_SECONDS - IDLE_SECONDS:
        now += IDLE_SECONDS - 1
        assert is_open(found, token, accounts, now)
    assert not is_open(found, token, accounts, LONGEST_SECONDS + 1)


def test_it_ends_with_its_account_and_its_password(accounts: Accounts) -> None:
    found = Sessions()
    token = found.begin(accounts.find("eve"), now=0.0)
    assert not is_open(found, token, accounts.without("eve"), 1.0)
    token = found.begin(accounts.find("eve"), now=0.0)
    assert not is_open(found, token, accounts.with_password("eve", HASH, now_ms=2), 1.0)
    assert not is_open(found, token, accounts, 1.0), "it does not come back"


def test_there_are_not_more_than_so_many(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_PER_ACCOUNT", 3)
    found = Sessions()
    tokens = [found.begin(accounts.find("ada"), now=float(number)) for number in range(4)]
    assert [is_open(found, token, accounts, 5.0) for token in tokens] == [False, True, True, True]
    assert found.count(now=5.0) == 3


def test_a_form_belongs_to_its_session(accounts: Accounts) -> None:
    found = Sessions()
    first, second = (found.find(found.begin(accounts.find("ada"), now=0.0), accounts, now=0.0) for _ in range(2))
    first.check_form(first.form_token)
    for given in ("", second.form_token, first.form_token[:-1], "ü"):
        with pytest.raises(AccessError) as caught:
            first.check_form(given)
        assert caught.value.code == "access.form"


def tries(throttle: Throttle, source: str, now: float) -> bool:
    try:
        throttle.take(source, now=now)
    except LimitError as error:
        return error.code != "limit.sign_in" or error.details["retry_after_seconds"] < 1
    return True


def test_failures_cost_more_and_more_time() -> None:
    throttle = Throttle(ADDRESS_SECONDS)
    assert all(tries(throttle, "a", 0.0) for _ in range(FREE))
    assert not tries(throttle, "a", 0.5)
    assert tries(throttle, "b", 0.5), "others are not held up"
    now, count = 0.0, 0
    while now < 3600:
        now += 1
        count += tries(throttle, "a", now)
    assert count < 15


def test_an_account_is_never_locked_for_long() -> None:
    throttle = Throttle(ACCOUNT_SECONDS)
    now = 0.0
    for _ in range(200):
        now += 1
        tries(throttle, "ada", now)
    assert tries(throttle, "ada", now + ACCOUNT_SECONDS)


def test_who_signed_in_begins_anew_and_memory_is_bounded() -> None:
    throttle = Throttle(ADDRESS_SECONDS)
    for _ in range(FREE):
        tries(throttle, "a", 0.0)
    assert not throttle.is_quiet(now=1.0)
    throttle.forgive("a")
    assert throttle.is_quiet(now=1.0)
    assert tries(throttle, "a", 0.0)
    for number in range(MAX_SOURCES + 10):
        tries(throttle, str(number), 0.0)
    assert len(throttle._tried) == MAX_SOURCES
