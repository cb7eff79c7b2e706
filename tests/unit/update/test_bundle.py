import json
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpci_node.errors import BpciError, ProofError
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.hashing import sha256
from bpci_node.update.bundle import (
    HEAD_BYTES,
    MAGIC,
    read_release,
    unpack,
    verify_envelope,
    verify_payload,
    write_bundle,
)
from bpci_node.update.manifest import Manifest
from bpci_node.update.release_key import KeyRing, ReleaseKey, load_ring, remember
from scripts.make_update import ReleaseSigner, describe, make

VECTORS = json.loads((Path(__file__).parents[3] / "docs/spec/vectors/update.json").read_text())
TRUSTED = ReleaseKey.from_map(decode(bytes.fromhex(VECTORS["trusted"])))
RING = KeyRing([TRUSTED])
SIGNER = ReleaseSigner("signer", bytes(range(64)))


def check(path: Path, ring: KeyRing) -> None:
    verify_payload(path, read_release(path, ring))


@pytest.mark.parametrize("name", list(VECTORS["accepted"]))
def test_bundles_of_the_vectors_are_accepted(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(bytes.fromhex(VECTORS["accepted"][name]))
    release = read_release(path, RING)
    verify_payload(path, release)
    assert release.digest.hex() == VECTORS["manifest_digest"]
    assert release.manifest.encode().hex() == VECTORS["manifest"]
    assert TRUSTED.key_id.hex() == VECTORS["trusted_id"]


@pytest.mark.parametrize("name", list(VECTORS["refused"]))
def test_what_the_vectors_refuse_is_refused_with_its_code(name: str, tmp_path: Path) -> None:
    case, path = VECTORS["refused"][name], tmp_path / "bundle"
    path.write_bytes(bytes.fromhex(case["bundle"]))
    with pytest.raises(BpciError) as raised:
        check(path, RING)
    assert raised.value.code == case["code"]


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_byte_of_a_bundle_can_be_changed_added_or_taken_away(data: st.DataObject, tmp_path: Path) -> None:
    whole = bytearray.fromhex(VECTORS["accepted"]["signed by its successor"])
    at = data.draw(st.integers(0, len(whole) - 1))
    how = data.draw(st.sampled_from(["flip", "insert", "delete"]))
    if how == "flip":
        whole[at] ^= data.draw(st.integers(1, 255))
    elif how == "insert":
        whole.insert(at, data.draw(st.integers(0, 255)))
    else:
        del whole[at]
    path = tmp_path / "bundle"
    path.write_bytes(whole)
    with pytest.raises(BpciError):
        check(path, RING)


@given(st.binary(max_size=400))
def test_strangers_bytes_are_refused_with_an_error_of_ours(body: bytes) -> None:
    with pytest.raises(BpciError):
        verify_envelope(body, RING)


def wheelhouse(place: Path, *, contents: str = "x = 1\n", name: str = "dependency.py") -> Path:
    place.mkdir()
    for wheel, pins in (("dependency-1.0", "requirements.txt"), ("bpci_community_os-0.2.0", "project.txt")):
        path = place / f"{wheel}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            item = zipfile.ZipInfo(name)
            item.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(item, contents)
            archive.writestr(zipfile.ZipInfo("METADATA"), wheel)
        pin = f"{wheel.replace('-', '==')} --hash=sha256:{sha256(path.read_bytes()).hex()}\n"
        (place / pins).write_text(pin)
    return place


def described(place: Path) -> Manifest:
    return describe(
        place, sequence=1, platforms=["debian-12-x86_64"], python="3.11", minimum="0.1.0", days=30, notes="Fixes.\n"
    )


def test_what_is_unpacked_is_the_wheelhouse_that_was_signed(tmp_path: Path) -> None:
    house, path, out = wheelhouse(tmp_path / "house"), tmp_path / "bundle", tmp_path / "out"
    make(path, house, SIGNER, described(house), ())
    release = read_release(path, KeyRing([SIGNER.key]))
    unpack(path, release, out)
    assert {item.name: item.read_bytes() for item in out.iterdir()} == {
        item.name: item.read_bytes() for item in house.iterdir()
    }


@pytest.mark.parametrize(
    ("options", "code"), [({"contents": "0" * 10**6}, "update.room"), ({"name": "../escape.py"}, "update.wheel")]
)
def test_a_wheel_that_unfolds_too_far_or_leads_elsewhere_is_refused(
    tmp_path: Path, options: dict[str, str], code: str
) -> None:
    house, path = wheelhouse(tmp_path / "house", **options), tmp_path / "bundle"
    manifest = replace(described(house), installed_bytes=500_000)
    write_bundle(path, SIGNER.envelope(manifest), [house / item.name for item in manifest.wheels])
    with pytest.raises(ProofError) as raised:
        unpack(path, read_release(path, KeyRing([SIGNER.key])), tmp_path / "out")
    assert raised.value.code == code
    assert not (tmp_path / "escape.py").exists()


def test_a_successor_counts_from_when_it_was_learnt_and_its_predecessor_no_longer(tmp_path: Path) -> None:
    house, path, keys, learnt = wheelhouse(tmp_path / "house"), tmp_path / "b", tmp_path / "keys", tmp_path / "learnt"
    keys.mkdir()
    (keys / "signer.release-key").write_bytes(encode(SIGNER.key.as_map()))
    second, third = ReleaseSigner("second", bytes(64)), ReleaseSigner("third", bytes(63) + b"\x01")
    chain = (SIGNER.successor(second.key), second.successor(third.key))
    make(path, house, third, described(house), chain)
    ring = load_ring([keys, tmp_path / "absent"], learnt)
    assert list(ring.trusted) == [SIGNER.key.key_id]
    remember(learnt, read_release(path, ring).successors)
    ring = load_ring([keys], learnt)
    assert list(ring.trusted) == [third.key.key_id]
    with pytest.raises(BpciError) as raised:
        ring.key(SIGNER.key.key_id)
    assert raised.value.code == "update.retired_key"
    # Who holds the old key can't lead anybody back, or aside.
    for evil in (third.successor(SIGNER.key), SIGNER.successor(third.key)):
        with pytest.raises(BpciError) as raised:
            ring.extended([evil])
        assert raised.value.code == "update.key_conflict"


def test_a_head_that_promises_more_than_is_read_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(MAGIC + struct.pack(">I", 2**32 - 1))
    assert path.stat().st_size == HEAD_BYTES
    with pytest.raises(BpciError) as raised:
        read_release(path, RING)
    assert raised.value.code == "update.envelope"
