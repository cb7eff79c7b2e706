import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CODE = re.compile(r"\"((?:commit|parcel|reveal|window)\.[a-z0-9_]+)\"")


def test_every_code_of_commits_reveals_and_windows_is_documented_and_raised() -> None:
    package = ROOT / "appliance/bpci_node"
    raised = {code for source in package.glob("auction/*.py") for code in CODE.findall(source.read_text())}
    somewhere = {code for source in package.glob("*/*.py") for code in CODE.findall(source.read_text())}
    tables = [ROOT / f"docs/spec/errors/{area}.md" for area in ("commit", "parcel", "reveal", "window")]
    documented = {
        code for table in tables for code in re.findall(r"^\| `([a-z0-9_.]+)` \|", table.read_text(), re.MULTILINE)
    }
    assert len(raised) > 35
    assert raised <= documented
    assert {code for code in documented if not code.startswith("usage.")} <= somewhere
