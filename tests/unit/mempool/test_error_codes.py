import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODE = re.compile(r"\"((?:entry|mempool|unreachable)\.[a-z0-9_]+)\"")


def test_every_code_that_pools_and_their_entries_raise_is_documented() -> None:
    package = ROOT / "appliance/bpci_node"
    sources = [
        *package.glob("mempool/*.py"),
        package / "primitives/ethereum.py",
        package / "network/chain_rpc.py",
    ]
    raised = {code for source in sources for code in CODE.findall(source.read_text())}
    documented: set[str] = set()
    for table in (ROOT / "docs/spec/errors").glob("*.md"):
        documented |= set(re.findall(r"^\| `([a-z0-9_.]+)` \|", table.read_text(), re.MULTILINE))
    assert len(raised) > 30
    assert raised <= documented
