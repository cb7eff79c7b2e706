import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpci_node.consensus.archive import MAGIC, ArchiveBlock, ArchiveChunk, read_archive, write_archive
from bpci_node.errors import FormatError


@pytest.fixture
def archive(town):
    town.sequencer().submit([town.command(5), town.command(6)], town.now_ms)
    items = [town.genesis, ArchiveBlock(town.store.block(1), tuple(town.store.commands(1))), ArchiveChunk(b"chunk")]
    file = io.BytesIO()
    assert write_archive(file, items) == 3
    return items, file.getvalue()


def read(data):
    return list(read_archive(io.BytesIO(data)))


def test_an_archive_gives_back_what_was_put_in(archive):
    items, data = archive
    assert read(data) == items


def test_an_archive_that_is_cut_off_anywhere_is_noticed(archive):
    _, data = archive
    for size in range(len(data)):
        with pytest.raises(FormatError):
            read(data[:size])
    with pytest.raises(FormatError):
        read(data + b"\x00")


def test_lengths_are_not_trusted():
    for size in (0, 2**32 - 1, (32 << 20) + 1):
        with pytest.raises(FormatError):
            read(MAGIC + size.to_bytes(4) + b"\xa0")


def test_the_genesis_comes_first_and_once(archive, town):
    items, _ = archive
    for wrong in (items[1:], [town.genesis, *items]):
        file = io.BytesIO()
        write_archive(file, wrong)
        with pytest.raises(FormatError):
            read(file.getvalue())


@given(st.binary(max_size=120))
def test_noise_is_no_archive(noise):
    for data in (noise, MAGIC + noise, MAGIC + len(noise).to_bytes(4) + noise):
        with pytest.raises(FormatError):
            read(data)
