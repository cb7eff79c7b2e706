import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODE = re.compile(r"\"((?:update|unreachable)\.[a-z0-9_]+)\"")


def test_every_code_of_updates_is_documented_and_no_other() -> None:
    package = ROOT / "appliance/bpci_node"
    sources = [*package.glob("update/*.py"), package / "cli/update.py"]
    found = {code for source in sources for code in CODE.findall(source.read_text())} - {
        "update.prom",
        "unreachable.tls",
    }
    table = (ROOT / "docs/spec/errors/update.md").read_text()
    documented = set(re.findall(r"^\| `((?:update|unreachable)\.[a-z0-9_]+)` \|", table, re.MULTILINE))
    assert found == documented
