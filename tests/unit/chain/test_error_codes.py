import re
from pathlib import Path

from bpci_node.chain.catalog import KINDS

ROOT = Path(__file__).parents[3]
AREAS = (
    "access|account|asset|auction|bond|chain|escrow|faucet|format|proof|registry|sign|stake|storage|usage|validator|"
    "vesting"
)
CODE = re.compile(rf"\"((?:{AREAS})\.[a-z0-9_]+)\"")
PRIMITIVES = ("amounts", "base58", "bls", "codec", "derivation", "keys", "merkle", "mldsa", "state_proof", "vrf")


def documented(*areas):
    tables = [(ROOT / f"docs/spec/errors/{area}.md").read_text() for area in areas]
    return {code for table in tables for code in re.findall(r"^\| `([a-z0-9_.]+)` \|", table, re.MULTILINE)}


def test_every_code_that_the_ledger_raises_is_documented_and_no_other():
    package = ROOT / "appliance/bpci_node"
    sources = [*package.glob("chain/*.py"), *package.glob("consensus/*.py")]
    sources += [package / f"primitives/{name}.py" for name in PRIMITIVES]
    found = {code for source in sources for code in CODE.findall(source.read_text())}
    own, shared = (
        documented("auction", "chain", "registry", "asset", "validator", "faucet"),
        documented("format", "proof"),
    )
    events = {event for kind in KINDS.values() for event in kind.events}
    purely_named = (events | set(KINDS)) - own
    assert found - purely_named - shared == own


def test_every_rule_of_the_catalog_names_a_documented_code():
    areas = [table.stem for table in (ROOT / "docs/spec/errors").glob("*.md")]
    assert {code for kind in KINDS.values() for code, _ in kind.rules} <= documented(*areas)
