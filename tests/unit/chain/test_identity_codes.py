import re
from pathlib import Path

import pytest

from bpci_node.chain.catalog import KINDS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("area", ["identity", "authority", "governance", "wallet", "dao"])
def test_every_code_of_the_area_is_documented_and_no_other(area):
    sources = [*ROOT.glob("appliance/bpci_node/chain/*.py"), *ROOT.glob("appliance/bpci_node/cli/*.py")]
    raised = {code for file in sources for code in re.findall(rf'code="({area}\.[a-z_]+)"', file.read_text())}
    table = (ROOT / f"docs/spec/errors/{area}.md").read_text()
    assert set(re.findall(r"^\| `([a-z._]+)` \|", table, re.MULTILINE)) == raised
    named = {code for kind in KINDS.values() for code, _ in kind.rules if code.startswith(f"{area}.")}
    assert named <= raised
