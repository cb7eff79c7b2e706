import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODE = re.compile(r"\"((?:seat|line)\.[a-z0-9_]+)\"")


def test_every_code_of_a_validator_s_seat_is_documented_and_no_other() -> None:
    package = ROOT / "appliance/bpci_node"
    sources = [*package.glob("runtime/*.py"), *package.glob("gateway/*.py"), package / "auction/line_request.py"]
    found = {code for source in sources for code in CODE.findall(source.read_text())}
    table = (ROOT / "docs/spec/errors/seat.md").read_text()
    documented = set(re.findall(r"^\| `((?:seat|line)\.[a-z0-9_]+)` \|", table, re.MULTILINE))
    assert found == documented
