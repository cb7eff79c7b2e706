"""Write the test vectors of the specification: ``PYTHONPATH=appliance:. python scripts/make_vectors.py``.

A test compares the files with what the code computes. A difference means that a byte layout has changed, which is a
change of the specification, never of the vectors alone.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bpci_node.chain.account import account_id_of
from bpci_node.chain.block import Block, sign_block
from bpci_node.chain.certificate import issue_certificate
from bpci_node.chain.challenge import issue_challenge
from bpci_node.chain.command import Command, sign_command
from bpci_node.chain.genesis import Genesis
from bpci_node.chain.machine import Machine
from bpci_node.chain.registration import FLAGS, NodeRegistration, load_node
from bpci_node.chain.rotation import Rotation, prove_possession
from bpci_node.chain.state import root_v1
from bpci_node.mempool.header import sign_header
from bpci_node.mempool.pool import Pool
from bpci_node.mempool.proof import MempoolProof
from bpci_node.mempool.prove import HeaderFacts, snapshot, unsigned_header
from bpci_node.mempool.prove import prove as prove_snapshot
from bpci_node.mempool.target import TargetConfig
from bpci_node.primitives.codec import decode, encode
from bpci_node.primitives.ethereum import decode_transaction
from bpci_node.primitives.hashing import derive
from bpci_node.primitives.keys import LocalSigner, derive_keys, did_of, seed_of, sign_object
from bpci_node.primitives.merkle import EMPTY_ROOT, audit_path, leaf_hash, prove, root_of
from scripts.ledger_vectors import ledger_2
from scripts.mempool_vectors import mempool_rules

PHRASE = "abandon " * 23 + "art"
DIRECTORY = Path(__file__).resolve().parents[1] / "docs/spec/vectors"


def hexed(value: Any) -> Any:
    """Return ``value`` as JSON shows it: bytes as 0x and lower-case hex."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {key: hexed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hexed(item) for item in value]
    return value


def octets(text: str) -> bytes:
    """Return the bytes of their JSON view."""
    return bytes.fromhex(text.removeprefix("0x"))


def keys() -> dict[str, Any]:
    """Every key of the public BIP-39 test phrase, for three instances."""
    instances = []
    for instance in (0, 1, 2**31 - 1):
        derived = derive_keys(PHRASE, instance)
        node = LocalSigner(derived.node)
        instances.append(
            {
                "instance": instance,
                "node": derived.node,
                "registry": derived.registry,
                "owner": derived.owner,
                "bls": derived.bls.to_bytes(32, "big"),
                "ml_dsa_seed": derived.ml_dsa_seed,
                "vrf_seed": derived.vrf_seed,
                "backup_key": derived.backup_key,
                "node_public_key": node.public_key,
                "node_did": did_of(node.public_key),
                "node_account": account_id_of(node.public_key),
            }
        )
    return hexed({"phrase": PHRASE, "bip39_seed": seed_of(PHRASE), "instances": instances})


def encoding() -> dict[str, Any]:
    """Values with their canonical encodings, and digests and signatures under a context."""
    values: list[Any] = [
        None,
        True,
        0,
        -(2**63),
        2**64 - 1,
        b"\x00\xff",
        "",
        "BPCI",
        [1, [2, None]],
        {"b": 1, "aa": 2, "": 3},
    ]
    signer = LocalSigner(derive_keys(PHRASE).node)
    obj = {"v": 1, "hello": "ledger"}
    context = "bpci 2026 command v1"
    return hexed(
        {
            "values": [{"value": value, "cbor": encode(value)} for value in values],
            "signed_object": {
                "context": context,
                "object": obj,
                "cbor": encode(obj),
                "digest": derive(context, encode(obj)),
                "public_key": signer.public_key,
                "signature": sign_object(signer, context, obj),
            },
        }
    )


CT_LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
"""The leaves of certificate transparency's reference tree."""


def merkle_inclusion() -> dict[str, Any]:
    """RFC 6962 roots, and inclusion proofs in the shape of transparency-dev/merkle's test data, spoilt ones too."""
    hashes = [leaf_hash(leaf) for leaf in CT_LEAVES]
    cases: list[dict[str, Any]] = []

    for index, size in ((0, 1), (0, 8), (5, 8), (2, 3), (1, 5), (4, 5), (6, 7), (3, 7)):
        root, leaf, path = root_of(hashes[:size]), hashes[index], audit_path(hashes[:size], index)
        holds = {"leafIdx": index, "treeSize": size, "root": root, "leafHash": leaf, "proof": path}
        spoilt: list[tuple[str, dict[str, Any]]] = [
            ("leafIdx - 1", {"leafIdx": (index - 1) % 2**64}),
            ("leafIdx + 1", {"leafIdx": index + 1}),
            ("leafIdx ^ 2", {"leafIdx": index ^ 2}),
            ("treeSize * 2", {"treeSize": size * 2}),
            ("treeSize / 2", {"treeSize": size // 2}),
            ("wrong leaf", {"leafHash": leaf_hash(b"WrongLeaf")}),
            ("empty root", {"root": EMPTY_ROOT}),
            ("random root", {"root": leaf_hash(b"random")}),
            ("trailing garbage", {"proof": [*path, b""]}),
            ("trailing root", {"proof": [*path, root]}),
            ("preceding garbage", {"proof": [b"", *path]}),
            ("preceding root", {"proof": [root, *path]}),
        ]
        for number, item in enumerate(path):
            flipped = [*path[:number], bytes([item[0] ^ 8]) + item[1:], *path[number + 1 :]]
            spoilt.append((f"modified proof[{number}] bit 3", {"proof": flipped}))
        if path:
            spoilt.append(("removed component", {"proof": path[:-1]}))
        if len(path) > 1:
            spoilt.append(("reversed proof", {"proof": path[::-1]}))
        for desc, changes in (("happy path", {}), *spoilt):
            case = holds | changes
            for name in ("root", "leafHash"):
                case[name] = b64encode(case[name]).decode()
            case["proof"] = [b64encode(item).decode() for item in case["proof"]] or None
            cases.append(case | {"desc": desc, "wantErr": bool(changes)})
    return {
        "source": "RFC 6962, section 2.1, over the reference leaves of certificate transparency; the shape of"
        " transparency-dev/merkle's testdata/inclusion: bytes in base64, null for an empty proof",
        "leaves": hexed(CT_LEAVES),
        "roots": [b64encode(root_of(hashes[:size])).decode() for size in range(len(hashes) + 1)],
        "inclusion": cases,
    }


def merkle() -> dict[str, Any]:
    """Multiproofs over the reference leaves of certificate transparency."""
    cases = []
    for size, indices in ((1, [0]), (2, [1]), (3, [0]), (5, [4]), (7, [1, 5]), (8, [0]), (8, [2, 3, 7]), (8, [0, 7])):
        hashes = [leaf_hash(leaf) for leaf in CT_LEAVES[:size]]
        cases.append({"size": size, "indices": indices, "root": root_of(hashes), "proof": prove(hashes, indices)})
    return hexed({"leaves": CT_LEAVES, "multiproofs": cases})


def ledger() -> dict[str, Any]:
    """A short ledger: a node registers, updates, replaces its key, retires."""
    derived = derive_keys(PHRASE)
    registry, node = LocalSigner(derived.registry), LocalSigner(derived.node)
    successor = LocalSigner(bytes([7]) * 32)
    genesis = Genesis(name="vectors", registry_key=registry.public_key, time_ms=1_767_225_600_000)
    account = account_id_of(node.public_key)
    challenge, challenge_sig = issue_challenge(
        registry,
        ledger_id=genesis.ledger_id,
        node_key=node.public_key,
        now_ms=genesis.time_ms + 1000,
        nonce16=bytes(range(16)),
    )
    registration = NodeRegistration(
        node_type="bpi-community",
        node_key=node.public_key,
        flags=dict.fromkeys(FLAGS, False) | {"community_operated": True},
        capabilities=("auction.ethereum", "mempool"),
        endpoints=("http://192.0.2.5:8545", "https://[2001:db8::5]/v1"),
        report_digest=bytes([5]) * 32,
        challenge=challenge,
        challenge_sig=challenge_sig,
        instance=0,
    )
    rotation = Rotation(
        revoke=did_of(node.public_key),
        public_key=successor.public_key,
        proof=prove_possession(successor, ledger_id=genesis.ledger_id, account=account),
    )
    update = registration.as_body() | {"instance": 1, "endpoints": ["http://192.0.2.6:8545"]}
    steps: list[tuple[LocalSigner, str, dict[str, Any]]] = [
        (node, "registry.register_node", registration.as_body()),
        (node, "registry.update_node", update),
        (node, "account.rotate_key", rotation.as_body()),
        (successor, "registry.retire_node", {}),
    ]
    machine, parent, blocks, certificate = Machine(genesis), genesis.hash, [], b""
    for nonce, (signer, kind, body) in enumerate(steps):
        command = Command(genesis.ledger_id, account, nonce, expires_height=100, kind=kind, body=body)
        signed = sign_command(signer, command).encode()
        height, time_ms = nonce + 1, genesis.time_ms + 2000 * (nonce + 1)
        done = machine.finalize(height, time_ms, [signed], version=1)
        machine.commit()
        block = Block(height, time_ms, parent, done.commands_root, done.state_root, registry.public_key, version=1)
        blocks.append(
            {
                "height": height,
                "block": sign_block(registry, block).encode(),
                "digest": block.digest,
                "commands": [{"kind": kind, "id": command.digest, "signed": signed}],
                "results": [result.encode() for result in done.results],
                "writes": [{"key": key, "value": value} for key, value in sorted(done.writes.items())],
                "state_root": done.state_root,
            }
        )
        parent = block.digest
        record = load_node(machine.state, account)
        if kind == "account.rotate_key" and record is not None:
            certificate = issue_certificate(registry, genesis.ledger_id, record)
    return hexed(
        {
            "genesis": {"map": genesis.as_map(), "cbor": genesis.encode(), "hash": genesis.hash},
            "ledger_id": genesis.ledger_id,
            "account": account,
            "challenge": {"cbor": challenge, "signature": challenge_sig},
            "empty_state_root": root_v1([]),
            "blocks": blocks,
            "certificate_at_height_3": certificate,
        }
    )


def mempool_proof() -> dict[str, Any]:
    """The pool of mempool.json with its leaves, roots and header, and what is proved of it."""
    source = json.loads((DIRECTORY / "mempool.json").read_text())
    terms = source["target"] | {name: int(source["target"][name]) for name in ("base_fee_wei", "fee_bin_wei")}
    pool = Pool(TargetConfig(**terms))
    for item in source["entries"]:
        tx = decode_transaction(octets(item["raw"]))
        pool.insert(tx, item["arrival_seq"], item["arrival_ms"], qos=item["qos"], opaque=octets(item["opaque"]))
    keys = [bucket.key for bucket in pool.buckets()]
    pool.mark_sealed([keys[1]], 3)
    node, registry = LocalSigner(octets(source["node_seed"])), LocalSigner(derive_keys(PHRASE).registry)
    ledger_id = "devnet:" + "ab" * 32
    facts = HeaderFacts(ledger_id, 9, bytes([9]) * 32, 3, 1_770_000_001_000, None, node.public_key)

    def prove(name: str, of: Pool, txids: list[bytes], shown: list[bytes]) -> dict[str, Any]:
        made = prove_snapshot(snapshot(of, facts, txids, shown), node)
        return {"name": name, "entries": txids, "buckets": shown, "proof": made.encode()}

    largest = [entry.leaf.txid for entry in pool.bucket(keys[0]) or ()]
    absent = [bytes(4), bytes.fromhex("00030005"), bytes.fromhex("ffffffff")]
    proofs = [
        prove("one entry", pool, [largest[1]], []),
        prove("every entry of a bucket", pool, largest, []),
        prove("a bucket without entries", pool, [], [keys[1]]),
        prove("empty buckets", pool, [], absent),
        prove("entries, buckets and empty buckets", pool, [largest[0], largest[3]], [*keys[2:4], *absent]),
        prove("an empty pool", Pool(TargetConfig(**terms)), [], absent[:1]),
    ]
    roots = pool.roots()
    return hexed(
        {
            "about": "docs/spec/mx-verkle.md, sections 7 to 9; the entries are those of mempool.json, in a pool whose"
            " second bucket was last sealed in bundle 3",
            "node_seed": octets(source["node_seed"]),
            "signer": did_of(node.public_key),
            "buckets": [
                {
                    "key": bucket.key,
                    "sealed_epoch": pool.sealed_epoch(bucket.key),
                    "leaf": bucket.leaf(pool.sealed_epoch(bucket.key)).encode(),
                    "digest": bucket.leaf(pool.sealed_epoch(bucket.key)).digest(),
                }
                for bucket in pool.buckets()
            ],
            "verkle_root": roots.verkle_root,
            "merkle_mesh_root": roots.merkle_mesh_root,
            "mx_root": roots.mx_root,
            "header": sign_header(node, unsigned_header(pool, facts)).encode(),
            "proofs": proofs,
            "refused": _spoilt(proofs[4]["proof"], node, registry),
        }
    )


def _spoilt(data: bytes, node: LocalSigner, other: LocalSigner) -> list[dict[str, Any]]:
    """Spoil a proof in ways that differ, each with the code with which the node's trusting reader refuses it."""
    good = MempoolProof.decode(data)
    first, *rest = good.buckets

    def opened(**changes: Any) -> MempoolProof:
        return replace(good, buckets=(replace(first, **changes), *rest))

    def leaf(**changes: Any) -> MempoolProof:
        return opened(leaf=replace(first.leaf, **changes))

    def signed(by: LocalSigner = node, **changes: Any) -> MempoolProof:
        return replace(good, header=sign_header(by, replace(good.header, **changes)))

    cases: list[tuple[str, str, MempoolProof | bytes]] = [
        ("a byte more", "proof.format", data + b"\x00"),
        ("another version", "proof.format", encode(decode(data) | {"v": 2})),
        ("another signer", "proof.untrusted", signed(by=other, signer=other.public_key)),
        ("another time", "proof.signature", replace(good, header=replace(good.header, time_ms=1))),
        ("a signed header with a mesh root of another pool", "proof.mx_root", signed(merkle_mesh_root=bytes(32))),
        ("keys out of order", "proof.buckets", replace(good, absent=good.absent[::-1])),
        (
            "a key there and empty",
            "proof.buckets",
            replace(good, absent=(*good.absent[:1], first.key, *good.absent[1:])),
        ),
        ("fewer entries than the buckets hold", "proof.count", signed(entries=1)),
        ("entries swapped", "proof.entries", opened(entries=first.entries[::-1])),
        ("another width of fee bins", "proof.entries", signed(fee_bin_wei=1)),
        ("places moved", "proof.merkle", opened(positions=(1, 3))),
        ("a path too short", "proof.merkle", opened(path=first.path[1:])),
        ("another Merkle root", "proof.merkle", leaf(merkle_root=bytes(32))),
        ("another epoch", "proof.verkle", leaf(sealed_epoch=1)),
        ("an empty bucket left out", "proof.verkle", replace(good, absent=good.absent[:-1])),
        ("a bucket left out", "proof.verkle", replace(good, buckets=good.buckets[:-1])),
        ("another empty bucket", "proof.verkle", replace(good, absent=(*good.absent[:-1], b"\xff\xff\xff\xfe"))),
    ]
    return [
        {"what": what, "code": code, "proof": item if isinstance(item, bytes) else item.encode()}
        for what, code, item in cases
    ]


FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "keys.json": keys,
    "encoding.json": encoding,
    "merkle.json": merkle,
    "merkle-inclusion.json": merkle_inclusion,
    "mempool-proof.json": mempool_proof,
    "mempool-rules.json": lambda: hexed(mempool_rules()),
    "ledger.json": ledger,
    "ledger-2.json": lambda: hexed(ledger_2(PHRASE)),
}

if __name__ == "__main__":
    for name, make in FILES.items():
        (DIRECTORY / name).write_text(json.dumps(make(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(name)
