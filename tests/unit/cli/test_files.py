import pytest

from bpci_node.cli.files import read_file, write_file
from bpci_node.errors import UsageError


def test_a_file_that_is_written_replaces_what_was_there(tmp_path):
    file = tmp_path / "proof"
    write_file(file, b"first")
    write_file(file, b"second")
    assert read_file(file, 100) == b"second"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_read_to_one_byte_more_than_it_may_have(tmp_path):
    file = tmp_path / "proof"
    file.write_bytes(bytes(10))
    assert read_file(file, 3) == bytes(4)


def test_where_nothing_can_be_written_the_file_is_named(tmp_path):
    file = tmp_path / "missing" / "proof"
    with pytest.raises(UsageError, match=r"cannot write .*proof: No such file or directory") as caught:
        write_file(file, b"data")
    assert caught.value.code == "usage.file"
    with pytest.raises(UsageError, match="cannot write the report: No such file or directory"):
        write_file(file, b"data", name="the report")


def test_where_nothing_can_be_read_the_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*proof: No such file or directory"):
        read_file(tmp_path / "proof", 100)
