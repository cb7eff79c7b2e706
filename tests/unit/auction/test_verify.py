import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bpci_node.auction.bundle import SIGNATURE_CONTEXT, Bundle
from bpci_node.auction.verify import verify_bundle
from bpci_node.errors import BpciError, FormatError, ProofError, UnreachableError
from bpci_node.mempool.entry import make_entry
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives import codec, merkle
from bpci_node.primitives.ethereum import Transaction, decode_transaction
from bpci_node.primitives.keys import LocalSigner, did_of, sign_object

Seal = Callable[..., Bundle]
Certify = Callable[..., bytes]
LEDGER_ID = "devnet:" + "ab" * 32
OTHER = LocalSigner(b"\x07" * 32)


@pytest.fixture(scope="module")
def bundle(seal: Seal, small_pool: Pool) -> Bundle:
    return seal(small_pool)


@pytest.fixture(scope="module")
def network(registry: LocalSigner) -> tuple[str, bytes]:
    return LEDGER_ID, registry.public_key


def resigned(bundle: Bundle, signer: LocalSigner) -> bytes:
    """Sign an altered bundle, as a liar who has a key would."""
    altered = replace(bundle, signer=signer.public_key)
    return replace(altered, signature=sign_object(signer, SIGNATURE_CONTEXT, altered.signed_map())).encode()


def refusal(data: bytes, **trust: Any) -> str:
    with pytest.raises(ProofError) as caught:
        verify_bundle(data, **trust)
    return caught.value.code


def lie(bundle: Bundle, node: LocalSigner) -> str:
    """Return the code with which a bundle is refused that its own node altered and signed."""
    return refusal(resigned(bundle, node), signer=did_of(node.public_key))


def test_a_sealed_bundle_holds_for_its_signer_and_its_network(
    bundle: Bundle, node: LocalSigner, network: tuple[str, bytes]
) -> None:
    data, name = bundle.encode(), did_of(node.public_key)
    by_signer = verify_bundle(data, signer=name)
    assert (by_signer.signer, by_signer.certificate) == (name, None)
    by_network = verify_bundle(data, network=network)
    assert by_network.certificate is not None
    assert by_network.certificate.node_id == "bpa1" + "a" * 32
    both = verify_bundle(data, signer=name, network=network)
    assert by_signer.digest == both.digest == bundle.header.digest()
    assert [entry.leaf.arrival_seq for entry in both.entries] == [3, 4, 5, 7, 1, 2]


def test_nobody_said_whom_to_trust(bundle: Bundle) -> None:
    with pytest.raises(UnreachableError) as caught:
        verify_bundle(bundle.encode())
    assert (caught.value.code, caught.value.status) == ("bundle.no_trust", 3)


def test_a_name_that_is_no_key_is_a_mistake_of_the_caller(bundle: Bundle) -> None:
    with pytest.raises(FormatError) as caught:
        verify_bundle(bundle.encode(), signer="did:key:zNothing")
    assert caught.value.code == "format.did"


def test_every_altered_byte_of_a_small_bundle_is_refused(
    bundle: Bundle, node: LocalSigner, network: tuple[str, bytes]
) -> None:
    data, name = bundle.encode(), did_of(node.public_key)
    for position in range(len(data)):
        for flip, trust in ((0x01, {"signer": name}), (0xFF, {"network": network})):
            altered = bytearray(data)
            altered[position] ^= flip
            refusal(bytes(altered), **trust)


def test_cut_off_and_lengthened_bundles_are_refused(bundle: Bundle, node: LocalSigner) -> None:
    data, name = bundle.encode(), did_of(node.public_key)
    for length in range(0, len(data), 7):
        assert refusal(data[:length], signer=name) == "bundle.format"
    assert refusal(data + b"\x00", signer=name) == "bundle.format"
    assert refusal(data + data, signer=name) == "bundle.format"


def test_thousands_of_altered_bits_of_a_large_bundle_are_refused(
    seal: Seal, mainnet: list[Transaction], node: LocalSigner
) -> None:
    pool = Pool(TargetConfig("eip155:1", base_fee_wei=45_000_000, fee_bin_wei=10_000_000))
    for number, tx in enumerate(mainnet, start=1):
        pool.insert(tx, number, number)
    sealed = seal(pool, gas_limit=10_000_000)
    data, name = sealed.encode(), did_of(node.public_key)
    assert len(verify_bundle(data, signer=name).entries) > 50
    bits = random.Random(1)  # noqa: S311 - a repeatable choice, not a secret
    for _ in range(2_000):
        altered = bytearray(data)
        altered[bits.randrange(len(data))] ^= 1 << bits.randrange(8)
        refusal(bytes(altered), signer=name)


def test_a_bundle_altered_and_signed_by_another_key_is_refused(
    bundle: Bundle, node: LocalSigner, network: tuple[str, bytes], certify: Certify, registry: LocalSigner
) -> None:
    data = resigned(bundle, OTHER)
    assert refusal(data, signer=did_of(node.public_key)) == "bundle.untrusted"
    assert refusal(data, network=network) == "bundle.certificate"
    self_certified = replace(bundle, certificate=certify(OTHER, LEDGER_ID, OTHER))
    assert refusal(resigned(self_certified, OTHER), network=network) == "bundle.certificate"
    assert refusal(resigned(replace(bundle, certificate=None), OTHER), network=network) == "bundle.untrusted"
    pretending = replace(bundle, signature=sign_object(OTHER, SIGNATURE_CONTEXT, bundle.signed_map()))
    assert refusal(pretending.encode(), signer=did_of(node.public_key)) == "bundle.signature"
    assert refusal(pretending.encode(), network=network) == "bundle.signature"


def test_a_certificate_of_another_ledger_is_refused(
    bundle: Bundle, node: LocalSigner, registry: LocalSigner, certify: Certify
) -> None:
    elsewhere = "othernet:" + "cd" * 32
    foreign = replace(bundle, certificate=certify(registry, elsewhere, node))
    assert refusal(resigned(foreign, node), network=(LEDGER_ID, registry.public_key)) == "bundle.certificate"
    assert refusal(bundle.encode(), network=(elsewhere, registry.public_key)) == "bundle.ledger"
    moved = replace(foreign, header=replace(bundle.header, ledger_id=elsewhere))
    assert refusal(resigned(moved, node), network=(LEDGER_ID, registry.public_key)) == "bundle.ledger"
    assert refusal(bundle.encode(), network=(LEDGER_ID, OTHER.public_key)) == "bundle.certificate"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"base_fee": 51}, "bundle.entries_root"),
        ({"base_fee": 300}, "bundle.fee"),
        ({"fee_bin_wei": 19}, "bundle.buckets"),
        ({"region": 1}, "bundle.buckets"),
        ({"qlock_ms": 50}, "bundle.buckets"),
        ({"qlock_ms": 51}, "bundle.format"),
        ({"target": "eip155:2"}, "bundle.entry"),
        ({"target": "eip155:99999999999999999999"}, "bundle.format"),
        ({"gas_used": 584_001}, "bundle.gas"),
        ({"gas_limit": 583_999}, "bundle.gas"),
        ({"count": 5}, "bundle.count"),
        ({"entries_root": b"\x01" * 32}, "bundle.entries_root"),
        ({"mesh_root": b"\x01" * 32}, "bundle.proof"),
        ({"bucket_count": 1}, "bundle.buckets"),
        ({"pool_count": 7}, "bundle.count"),
        ({"sequence": 2}, "bundle.parent"),
        ({"parent": b"\x01" * 32}, "bundle.parent"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_though_well_signed(
    bundle: Bundle, node: LocalSigner, change: dict[str, Any], code: str
) -> None:
    assert lie(replace(bundle, header=replace(bundle.header, **change)), node) == code


def with_entries(bundle: Bundle, entries: Sequence[Any]) -> Bundle:
    """Exchange the entries and make the header's own figures follow."""
    target = TargetConfig("eip155:1", base_fee_wei=50, fee_bin_wei=20)
    made = [
        make_entry(
            decode_transaction(e.raw), target, arrival_seq=e.arrival_seq, arrival_ms=e.ts, qos=e.qos, opaque=e.opaque
        )
        for e in entries
    ]
    header = replace(
        bundle.header,
        count=len(made),
        gas_used=sum(entry.leaf.gas for entry in made),
        entries_root=merkle.root_of([merkle.leaf_hash(entry.leaf.encode()) for entry in made]),
    )
    return replace(bundle, header=header, entries=tuple(entries))


def test_a_false_order_is_refused(bundle: Bundle, node: LocalSigner) -> None:
    entries = list(bundle.entries)
    assert lie(with_entries(bundle, [entries[2], entries[0], entries[1], *entries[3:]]), node) == "bundle.order"
    assert lie(with_entries(bundle, [*entries[:4], entries[5], entries[4]]), node) == "bundle.nonce"
    assert lie(with_entries(bundle, [entries[1], entries[0], *entries[2:]]), node) == "bundle.nonce"


def test_entries_left_out_or_put_in_are_refused(
    bundle: Bundle, node: LocalSigner, sign_raw: Callable[..., bytes]
) -> None:
    entries = list(bundle.entries)
    assert lie(with_entries(bundle, entries[:-1]), node) == "bundle.buckets"
    assert lie(with_entries(bundle, [*entries, entries[0]]), node) == "bundle.duplicate"
    assert lie(with_entries(bundle, [*entries[:-1], replace(entries[-1], arrival_seq=1)]), node) == "bundle.duplicate"
    below = replace(entries[0], raw=sign_raw(9, max_fee=49, tip=1), arrival_seq=90)
    assert lie(with_entries(bundle, [*entries, below]), node) == "bundle.fee"
    tiny = replace(entries[0], raw=sign_raw(9, gas=20_000), arrival_seq=90)
    assert lie(with_entries(bundle, [*entries, tiny]), node) == "bundle.entry"
    foreign = replace(entries[0], raw=sign_raw(9, chain_id=5), arrival_seq=90)
    assert lie(with_entries(bundle, [*entries, foreign]), node) == "bundle.entry"
    assert lie(replace(bundle, entries=(replace(entries[0], raw=b"\x02\xc0"), *entries[1:])), node) == "bundle.entry"


@pytest.mark.parametrize("change", [{"arrival_seq": 100}, {"ts": 5}, {"qos": 1}, {"opaque": b"x"}])
def test_what_was_noted_about_an_entry_is_bound_by_the_pools_root(
    bundle: Bundle, node: LocalSigner, change: dict[str, Any]
) -> None:
    entries = list(bundle.entries)
    altered = [*entries[:-1], replace(entries[-1], **change)]
    assert lie(replace(bundle, entries=tuple(altered)), node) == "bundle.entries_root"
    assert lie(with_entries(bundle, altered), node) == "bundle.proof"


def test_counts_must_add_up_when_every_bucket_is_opened(
    seal: Seal, sign_raw: Callable[..., bytes], node: LocalSigner
) -> None:
    pool = Pool(TargetConfig("eip155:1", base_fee_wei=50, fee_bin_wei=20))
    pool.insert(decode_transaction(sign_raw()), 1, 1)
    sealed = seal(pool)
    verify_bundle(sealed.encode(), signer=did_of(node.public_key))
    assert lie(replace(sealed, header=replace(sealed.header, pool_count=2)), node) == "bundle.count"


def test_false_openings_are_refused(bundle: Bundle, node: LocalSigner) -> None:
    first, *others = bundle.buckets

    def with_bucket(**change: Any) -> Bundle:
        return replace(bundle, buckets=(replace(first, **change), *others))

    assert lie(with_bucket(merkle_root=b"\x01" * 32), node) == "bundle.proof"
    assert lie(with_bucket(index=bundle.header.bucket_count - 1), node) == "bundle.buckets"
    assert lie(with_bucket(key=b"\x00\x03\x00\x01"), node) == "bundle.buckets"
    assert lie(with_bucket(positions=()), node) == "bundle.buckets"
    assert lie(with_bucket(positions=(first.count,)), node) in ("bundle.proof", "bundle.buckets")
    assert lie(with_bucket(count=100), node) == "bundle.count"
    assert lie(replace(bundle, buckets=bundle.buckets[1:]), node) == "bundle.buckets"
    assert lie(replace(bundle, buckets=bundle.buckets[::-1]), node) == "bundle.buckets"
    assert lie(replace(bundle, bucket_proofs=bundle.bucket_proofs[1:]), node) == "bundle.buckets"
    assert lie(replace(bundle, bucket_proofs=((b"\x00" * 32,), *bundle.bucket_proofs[1:])), node) == "bundle.proof"
    assert lie(replace(bundle, mesh_proof=()), node) == "bundle.proof"
    assert lie(replace(bundle, mesh_proof=(*bundle.mesh_proof, b"\x00" * 32)), node) == "bundle.proof"


def test_random_changes_of_values_signed_by_the_node_itself_never_leak_a_foreign_exception(
    bundle: Bundle, node: LocalSigner
) -> None:
    choose = random.Random(2)  # noqa: S311 - a repeatable choice, not a secret
    samples: list[Any] = [0, 1, -1, 2**63, b"", b"\x00" * 32, "", None, [], {}, True]

    def change(value: Any) -> Any:
        if isinstance(value, dict) and value:
            name = choose.choice(sorted(value))
            return value | {name: change(value[name])}
        if isinstance(value, list) and value and choose.random() < 0.8:
            at = choose.randrange(len(value))
            return [*value[:at], change(value[at]), *value[at + 1 :]]
        return choose.choice(samples)

    original, held = bundle.signed_map(), 0
    for _ in range(1_500):
        value = change(original)
        data = codec.encode(value | {"signature": sign_object(node, SIGNATURE_CONTEXT, value)})
        try:
            verify_bundle(data, signer=did_of(node.public_key))
            held += 1
            assert {key: value[key] for key in original if key not in ("certificate", "header")} == {
                key: original[key] for key in original if key not in ("certificate", "header")
            }
        except ProofError:
            continue
        except BpciError as error:
            pytest.fail(f"{error.code} instead of a refusal")
    assert held < 200


def test_an_oversized_file_is_refused_before_it_is_read(node: LocalSigner) -> None:
    assert refusal(bytes(32 * 1024 * 1024 + 1), signer=did_of(node.public_key)) == "bundle.format"
