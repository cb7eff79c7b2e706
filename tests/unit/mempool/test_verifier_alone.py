"""The verifier in a process that has nothing else: no pool, no tree, no node."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bpci_node.mempool.pool import Pool
from bpci_node.mempool.proof import MempoolProof
from bpci_node.primitives.keys import LocalSigner

SCRIPT = """
import json, sys
from bpci_node.mempool.verify import Trust, verify_mempool_proof
proof = verify_mempool_proof(sys.stdin.buffer.read(), Trust(signer=bytes.fromhex(sys.argv[1])))
modules = [name for name in sys.modules if name.startswith("bpci_")]
print(json.dumps({"entries": sum(len(bucket.entries) for bucket in proof.buckets), "modules": modules}))
"""
TYPES = {"bucket_key", "bucket_leaf", "entry_leaf", "header", "proof", "verify"}
TABLES = {"classes", "fees", "target"}
VERKLE = {"verkle", "verkle.paths", "verkle.proof", "verkle.scalars", "verkle.verify", "verkle.walk"}


def test_a_proof_is_verified_with_primitives_and_the_types_of_the_proof_alone(
    real_pool: Pool, prove_pool: Callable[..., MempoolProof], node: LocalSigner
) -> None:
    txids = [next(iter(bucket)).leaf.txid for bucket in real_pool.buckets()[:5]]
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            f"import sys; sys.path.insert(0, {str(package())!r})\n{SCRIPT}",
            node.public_key.hex(),
        ],
        input=prove_pool(real_pool, txids, [b"\xff" * 4]).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    found = json.loads(done.stdout)
    assert found["entries"] == 5
    allowed = {"bpci_node", "bpci_node.errors", "bpci_node.primitives", "bpci_node.mempool"}
    allowed |= {f"bpci_node.mempool.{name}" for name in TYPES | TABLES | VERKLE}
    assert {name for name in found["modules"] if not name.startswith("bpci_node.primitives.")} <= allowed


def package() -> Path:
    return Path(__file__).parents[3] / "appliance"
