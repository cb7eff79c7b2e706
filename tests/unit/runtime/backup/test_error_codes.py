import re
from pathlib import Path

ROOT = Path(__file__).parents[4]
CODE = re.compile(r"\"((?:backup|unreachable\.backup)[a-z._]*)\"")


def test_every_code_of_backups_is_documented_and_every_documented_one_is_used() -> None:
    package = ROOT / "appliance" / "bpci_node"
    sources = [*package.glob("runtime/backup/*.py"), *package.glob("host/restic*.py"), *package.glob("cli/backup*.py")]
    found = {code for source in sources for code in CODE.findall(source.read_text()) if "." in code}
    found -= {"backup.toml"}
    table = (ROOT / "docs/spec/errors/backup.md").read_text()
    assert found == set(re.findall(r"^\| `([a-z0-9_.]+)`", table, flags=re.MULTILINE))
