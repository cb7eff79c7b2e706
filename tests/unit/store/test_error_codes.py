import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODE = re.compile(r"\"((?:storage|sign|bundle)\.[a-z0-9_]+)\"")


def documented(*areas: str) -> set[str]:
    tables = [(ROOT / f"docs/spec/errors/{area}.md").read_text() for area in areas]
    return {code for table in tables for code in re.findall(r"`([a-z0-9_]+\.[a-z0-9_]+)`", table)}


def test_every_code_of_the_store_and_its_pools_is_documented() -> None:
    package = ROOT / "appliance" / "bpci_node"
    sources = [*package.glob("store/*.py"), package / "runtime" / "target_pool.py"]
    found = {code for source in sources for code in CODE.findall(source.read_text())}
    assert len(found) > 10
    assert found <= documented("store", "bundle", "chain")
