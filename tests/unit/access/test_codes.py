"""Every error code of sign-in, accounts and certificates is in the table, and nothing else is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = ("access", "gateway/web", "cli/access.py", "host/certificates.py", "setup/web_step.py", "setup/acts")
OWN = re.compile(
    r'"((?:access|tls|alerts)\.[a-z_]+|(?:format|host|limit|not_found)\.act|host\.owner|limit\.sign_in|not_found\.bundle'
    r'|unreachable\.(?:alerts|machine|node)|usage\.(?:alert|lines|role|socket|target))"'
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
