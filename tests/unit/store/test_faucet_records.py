"""What the faucet remembers: bounded, all or nothing, and not to be made to forget."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bpci_node.errors import BpciError
from bpci_node.store import faucet_records
from bpci_node.store.faucet_records import Allowance, add_codes, count_codes, give_back, take
from bpci_node.store.store import Store

HOUR_MS = 3_600_000
WALLET = Allowance("wallet/one", 1, HOUR_MS, "faucet.wallet_rate", "wallet")
SOURCE = Allowance("source/here", 2, 24 * HOUR_MS, "faucet.source_rate", "address")
CODE = bytes([7]) * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


def run(store: Store, work: Any, *arguments: Any, now_ms: int = 0) -> Any:
    return store.writer.submit(lambda connection: work(connection, *arguments, now_ms=now_ms)).result(10)


def refusal(store: Store, *arguments: Any, now_ms: int = 0) -> BpciError:
    with pytest.raises(BpciError) as caught:
        run(store, take, *arguments, now_ms=now_ms)
    return caught.value


def rows(store: Store) -> dict[str, bytes]:
    return dict(store.query("SELECT key, value FROM meta WHERE key LIKE 'faucet/%'"))


def test_a_name_comes_as_often_as_it_may_within_its_window_and_again_after_it(store: Store) -> None:
    run(store, take, [WALLET], None)
    error = refusal(store, [WALLET], None, now_ms=HOUR_MS - 1)
    assert (error.code, error.details["retry_after_seconds"]) == ("faucet.wallet_rate", 1)
    run(store, take, [WALLET], None, now_ms=HOUR_MS)
    assert refusal(store, [WALLET], None, now_ms=HOUR_MS).details["retry_after_seconds"] == 3600


def test_all_allowances_count_or_none(store: Store) -> None:
    run(store, take, [WALLET, SOURCE], None)
    before = rows(store)
    assert refusal(store, [SOURCE, WALLET], None).code == "faucet.wallet_rate"
    assert rows(store) == before
    other = Allowance("wallet/two", 1, HOUR_MS, "faucet.wallet_rate", "wallet")
    run(store, take, [other, SOURCE], None)
    assert refusal(store, [Allowance("wallet/3", 1, HOUR_MS, "x.y", "w"), SOURCE], None).code == "faucet.source_rate"


def test_what_came_to_nothing_is_given_back(store: Store) -> None:
    store.writer.submit(lambda connection: add_codes(connection, [CODE])).result(10)
    run(store, take, [WALLET, SOURCE], CODE)
    run(store, give_back, [WALLET, SOURCE], CODE)
    run(store, take, [WALLET, SOURCE], CODE)


def test_a_code_serves_once_and_an_unknown_one_never(store: Store) -> None:
    assert refusal(store, [WALLET], CODE).code == "faucet.code"
    store.writer.submit(lambda connection: add_codes(connection, [CODE])).result(10)
    # A code is not used up by who comes too often.
    run(store, take, [WALLET], None)
    assert refusal(store, [WALLET], CODE).code == "faucet.wallet_rate"
    run(store, take, [SOURCE], CODE)
    assert refusal(store, [SOURCE], CODE).code == "faucet.code"


def test_codes_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faucet_records, "MAX_CODES", 3)

    def add(*digests: bytes) -> None:
        store.writer.submit(lambda connection: add_codes(connection, digests)).result(10)

    add(bytes(32), CODE)
    with pytest.raises(BpciError) as caught:
        add(b"3" * 32, b"4" * 32)
    assert caught.value.code == "faucet.codes"
    assert store.writer.submit(count_codes).result(10) == 2


def test_a_full_memory_forgets_nobody_whose_window_is_open(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faucet_records, "MAX_PLACES", 4)
    for number in range(4):
        run(store, take, [Allowance(f"wallet/{number}", 1, (number + 1) * HOUR_MS, "a.b", "wallet")], None)
    assert refusal(store, [SOURCE], None, now_ms=HOUR_MS - 1).code == "faucet.busy"
    run(store, take, [SOURCE], None, now_ms=HOUR_MS)
    assert "faucet/place/wallet/0" not in rows(store)
    assert len(rows(store)) == 4


def test_a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_window(store: Store) -> None:
    run(store, take, [WALLET], None, now_ms=100 * HOUR_MS)
    assert refusal(store, [WALLET], None, now_ms=0).details["retry_after_seconds"] == 3600


def test_it_is_remembered_over_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run(store, take, [WALLET], None)
    store.close()
    again = Store(tmp_path)
    try:
        assert refusal(again, [WALLET], None).code == "faucet.wallet_rate"
    finally:
        again.close()
