"""Every code that following a ledger raises has a line in the tables of errors, and no other has one in its own."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = (
    "runtime/archive.py",
    "runtime/following.py",
    "runtime/ledger_upkeep.py",
    "runtime/lookups.py",
    "store/snapshots.py",
    "cli/ledger_files.py",
    "gateway/api.py",
)
CODE = re.compile(r"code=\"([a-z]+\.[a-z0-9_]+)\"")


def documented(path: Path) -> set[str]:
    return set(re.findall(r"^\| `([a-z0-9_.]+)` \|", path.read_text(), re.MULTILINE))


def test_every_code_of_following_is_documented() -> None:
    raised = {code for source in SOURCES for code in CODE.findall((ROOT / "appliance/bpci_node" / source).read_text())}
    tables = ROOT / "docs/spec/errors"
    own = documented(tables / "sync.md")
    assert own <= raised
    assert raised - {"usage.call", "usage.file"} <= {
        code for table in tables.glob("*.md") for code in documented(table)
    }
