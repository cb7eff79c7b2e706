import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
AREAS = ("bundle", "certificate", "entry_proof", "header", "light", "list", "outcome")
FILES = (
    *("auction_bundle", "bundle", "candidates", "certificate", "entry_proof", "header", "light", "lists", "outcome"),
    *("seal", "seal_auction", "verify", "verify_auction", "window_selection"),
)


def test_every_code_of_headers_and_bundles_is_documented():
    code = re.compile(rf"\"((?:{'|'.join(AREAS)})\.[a-z0-9_]+)\"")
    sources = [ROOT / f"appliance/bpci_node/auction/{name}.py" for name in FILES]
    raised = {found for source in sources for found in code.findall(source.read_text())}
    tables = [(ROOT / f"docs/spec/errors/{area}.md").read_text() for area in AREAS]
    documented = {found for table in tables for found in re.findall(r"^\| `([a-z0-9_.]+)` \|", table, re.MULTILINE)}
    assert len(raised) > 40
    assert raised <= documented
