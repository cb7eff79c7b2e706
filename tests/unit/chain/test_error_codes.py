import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODE = re.compile(r"\"((?:account|chain|format|proof|registry|sign|storage|usage)\.[a-z0-9_]+)\"")
PRIMITIVES = ("base58", "codec", "derivation", "keys", "kzg", "merkle", "multiproof")
PROOFS = ("header", "proof", "prove", "trust", "verify")


def test_every_code_that_the_ledger_raises_is_documented_and_no_other():
    package = ROOT / "appliance/bpci_node"
    sources = [path for part in ("chain", "consensus", "mempool/verkle") for path in package.glob(f"{part}/*.py")]
    sources += [package / f"primitives/{name}.py" for name in PRIMITIVES]
    sources += [package / f"mempool/{name}.py" for name in PROOFS]
    raised = {code for source in sources for code in CODE.findall(source.read_text())}
    documented = set()
    for area in ("format", "chain", "registry", "proof"):
        table = (ROOT / f"docs/spec/errors/{area}.md").read_text()
        documented |= set(re.findall(r"^\| `([a-z0-9_.]+)` \|", table, re.MULTILINE))
    events_and_kinds = {
        "account.key_added",
        "account.rotate_key",
        "registry.node_registered",
        "registry.node_retired",
        "registry.node_updated",
        "registry.register_node",
        "registry.retire_node",
        "registry.update_node",
    }
    assert raised - events_and_kinds == documented
