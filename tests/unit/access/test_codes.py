"""Every error code of sign-in, accounts and certificates is in the table, and nothing else is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = ("access", "gateway/web", "cli/access.py", "host/certificates.py", "setup/web_step.py")
OWN = re.compile(
    r'"((?:access|tls|alerts)\.[a-z_]+|limit\.sign_in|unreachable\.(?:alerts|node)|usage\.(?:alert|role|socket|target))"'
)


def test_the_table_has_every_code() -> None:
    package = ROOT / "appliance" / "bpci_node"
    files = [
        path
        for name in SOURCES
        for path in ([package / name] if name.endswith(".py") else (package / name).glob("*.py"))
    ]
    used = {code for path in files for code in OWN.findall(path.read_text())}
    table = (ROOT / "docs/spec/errors/access.md").read_text()
    listed = set(re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE))
    assert used == listed
