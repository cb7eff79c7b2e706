import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bpci_node.access import actions
from bpci_node.access.actions import FILE, Action, ActionLog, verify
from bpci_node.errors import ProofError, StorageError

ROOT = Path(__file__).parents[3]


def action(what: str = "seal", **values: str) -> Action:
    fields = {"who": "ada", "role": "owner", "source": "192.0.2.1", "about": "eip155:1", "result": "done"}
    return Action(what=what, **(fields | values))


@pytest.fixture
def log(tmp_path: Path) -> ActionLog:
    found = ActionLog(tmp_path)
    for number in range(5):
        found.append(action(about=str(number)), now_ms=1000 + number)
    return found


def test_records_follow_one_another(log: ActionLog, tmp_path: Path) -> None:
    found = verify(tmp_path)
    newest = log.newest(3)
    assert (found.first, found.last, found.head) == (1, 5, newest[0].digest)
    assert [record.n for record in newest] == [5, 4, 3]
    assert newest[0].previous == newest[1].digest


def test_an_empty_log_holds(tmp_path: Path) -> None:
    assert verify(tmp_path).last == 0
    assert ActionLog(tmp_path).newest(5) == []


@pytest.mark.parametrize("line", range(5))
@pytest.mark.parametrize("how", ["changed", "removed", "doubled"])
def test_whatever_is_done_to_a_record_is_noticed(log: ActionLog, tmp_path: Path, line: int, how: str) -> None:
    head = log.newest(1)[0].digest.hex()
    lines = (tmp_path / FILE).read_bytes().splitlines(keepends=True)
    if how == "changed":
        lines[line] = lines[line].replace(b'"done"', b'"gone"')
    elif how == "removed":
        del lines[line]
    else:
        lines.insert(line, lines[line])
    (tmp_path / FILE).write_bytes(b"".join(lines))
    with pytest.raises(ProofError) as caught:
        verify(tmp_path, witness=head)
    assert caught.value.code == "access.log"


def test_a_forged_digest_breaks_the_chain(log: ActionLog, tmp_path: Path) -> None:
    """Who can write may seal a changed record anew, but not without changing all that follow."""
    lines = (tmp_path / FILE).read_bytes().splitlines()
    before = actions.read_record(lines[1])
    forged = actions.seal(action(what="nothing"), before, now_ms=1002)
    lines[2] = json.dumps(forged.as_map()).encode()
    (tmp_path / FILE).write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(ProofError, match="does not follow"):
        verify(tmp_path)


def test_after_a_spoilt_record_nothing_is_recorded_until_the_file_is_put_aside(log: ActionLog, tmp_path: Path) -> None:
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-20] + b"x" * 19 + b"\n")
    with pytest.raises(ProofError):
        log.append(action(), now_ms=2000)
    (tmp_path / FILE).rename(tmp_path / "spoilt")
    log.append(action(), now_ms=2000)
    assert verify(tmp_path).last == 1


def test_a_torn_record_is_cut_off_and_that_is_recorded(log: ActionLog, tmp_path: Path) -> None:
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"v":1,"n":6,"ti')
    with pytest.raises(ProofError, match="torn"):
        verify(tmp_path)
    log.append(action(), now_ms=2000)
    assert [record.action.what for record in log.newest(2)] == ["seal", "log.mended"]
    assert verify(tmp_path).last == 7


def test_it_goes_on_in_a_new_file_and_the_oldest_goes(
    log: ActionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "MAX_FILE_BYTES", 1000)
    monkeypatch.setattr(actions, "MAX_FILES", 2)
    for number in range(30):
        log.append(action(), now_ms=3000 + number)
    assert len(actions.files_of(tmp_path)) == 3
    found = verify(tmp_path)
    assert found.first > 1
    assert found.last == 35
    assert len(log.newest(7)) == 7


def test_a_kill_between_two_files_is_no_alarm_and_a_file_taken_out_is(
    log: ActionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "MAX_FILE_BYTES", 1000)
    monkeypatch.setattr(actions, "MAX_FILES", 2)
    for number in range(30):
        log.append(action(), now_ms=3000 + number)
    oldest, _, current = actions.files_of(tmp_path)
    # As a writer leaves it that is killed before the new file's first record.
    current.rename(tmp_path / f"actions-{log.newest(1)[0].n:012}.log")
    oldest.unlink()
    assert verify(tmp_path).last == 35
    log.append(action(), now_ms=4000)
    assert verify(tmp_path).last == 36
    actions.files_of(tmp_path)[0].unlink()
    with pytest.raises(ProofError, match="does not begin"):
        verify(tmp_path)


def test_a_record_that_is_being_written_is_waited_for(log: ActionLog, tmp_path: Path) -> None:
    whole = (tmp_path / FILE).read_bytes()
    found: list[object] = []

    def look() -> None:
        try:
            found.append(verify(tmp_path).last)
        except ProofError as error:
            found.append(error)

    with (tmp_path / actions.LOCK).open("rb") as lock, (tmp_path / FILE).open("wb") as file:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file.write(whole[:-10])
        file.flush()
        looking = threading.Thread(target=look)
        looking.start()
        looking.join(0.2)
        assert found == []
        file.write(whole[-10:])
    looking.join()
    assert found == [5]


def test_a_copy_that_can_not_be_written_to_is_verified_all_the_same(log: ActionLog, tmp_path: Path) -> None:
    (tmp_path / actions.LOCK).unlink()
    before = sorted(tmp_path.iterdir())
    assert (verify(tmp_path).last, len(log.newest(9))) == (5, 5)
    assert sorted(tmp_path.iterdir()) == before


def test_the_longest_record_is_read_again(log: ActionLog, tmp_path: Path) -> None:
    longest = "\N{SMILING FACE WITH HORNS}" * 300
    texts = dict.fromkeys(("who", "role", "source", "what", "about", "result"), longest)
    for _ in range(2):
        log.append(Action(**texts), now_ms=(1 << 63) - 1)
    assert (tmp_path / FILE).stat().st_size > 2 * 6 * 12 * actions.MAX_TEXT
    assert verify(tmp_path).last == 7


def test_a_link_in_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    """Root appends in a directory that belongs to the sign-in service."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("whole line\nno end")
    directory = tmp_path / "d"
    directory.mkdir()
    (directory / FILE).symlink_to(elsewhere)
    with pytest.raises(StorageError):
        ActionLog(directory).append(action(), now_ms=1)
    assert elsewhere.read_text() == "whole line\nno end"


def test_text_from_outside_can_not_draw_on_a_terminal_nor_grow(log: ActionLog) -> None:
    record = log.append(action(who="\x1b[2Jx\n", about="y" * 5000), now_ms=1)
    assert record.action.who == "?[2Jx?"
    assert len(record.action.about) == actions.MAX_TEXT


def test_a_directory_that_takes_nothing_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        ActionLog(tmp_path / "missing").append(action(), now_ms=1)
    assert caught.value.code == "storage.write"


def test_two_writers_do_not_tear_the_chain_and_a_killed_one_leaves_it_whole(tmp_path: Path) -> None:
    """Whatever was told to be written before the kill is there, in one chain."""
    code = (
        "import sys; from pathlib import Path\n"
        "from bpci_node.access.actions import Action, ActionLog\n"
        "log = ActionLog(Path(sys.argv[1]))\n"
        "for number in range(100000):\n"
        "    record = log.append(Action(sys.argv[2], 'owner', 'console', 'x', 'y', 'done'), now_ms=number)\n"
        "    print(record.digest.hex(), flush=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "appliance")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), name], env=environment, stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    ]
    said: list[str] = []
    for process in processes:
        assert process.stdout is not None
        said += [process.stdout.readline() for _ in range(20)]
    for process in processes:
        process.send_signal(signal.SIGKILL)
    for process in processes:
        assert process.stdout is not None
        said += process.stdout.readlines()
        process.stdout.close()
        process.wait()
    ActionLog(tmp_path).append(action(), now_ms=time.time_ns() // 1_000_000)
    verify(tmp_path)
    kept = {record.digest.hex() for record in ActionLog(tmp_path).newest(1_000_000)}
    assert {line.strip() for line in said if line.endswith("\n")} <= kept
