"""Lynis and OpenSCAP look at a machine that runs, as they look at its root when the image is built."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from image import score
from tests.infra.appliance import Appliance

pytestmark = [
    pytest.mark.infra,
    pytest.mark.long,
    pytest.mark.usefixtures("awake"),
    pytest.mark.timeout(7200),
]

ONLY_LIVE = 3.0
"""Percent by which a machine that runs may be below its image's floor: there alone the ages of passwords are asked for,
of an owner who must not be locked out, and hashes and services that the rules know under other names."""
AUDIT = "/root/audit"
"""Where this machine's tools are put; the image has none of them."""


@pytest.fixture(scope="module")
def tools(appliance: Appliance, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Bring the tools and the rules that the image build uses, with the libraries they were linked with."""
    packed = tmp_path_factory.mktemp("audit") / "audit.tar"
    program = shutil.which("oscap")
    assert program is not None, "oscap is not installed: scripts/host-setup.sh image"
    linked = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    release = appliance.run("cat /etc/os-release")
    with tarfile.open(packed, "w", dereference=True) as tar:
        tar.add("/usr/share/lynis", "audit/lynis")
        tar.add("/usr/sbin/lynis", "audit/lynis/lynis")
        for name in ("default.prf", "plugins"):
            tar.add(f"/etc/lynis/{name}", f"audit/lynis/{name}")
        tar.add(program, "audit/oscap")
        tar.add("/usr/share/openscap/cpe", "audit/cpe")
        for library in re.findall(r"(/\S+) \(0x", linked):
            tar.add(library, f"audit/lib/{Path(library).name}")
        tar.add(score.CIS, "audit/cis.xml")
        tar.add(score.anssi_rules(packed.parent, release), "audit/anssi.xml")
    with packed.open("rb") as file:
        brought = appliance.machine.ssh(
            "cat >audit.tar", user=appliance.owner.name, key=appliance.owner.key, timeout=600, stdin=file.read()
        )
    assert brought.returncode == 0, brought.stderr
    appliance.sudo("tar -C /root --no-same-owner -xf audit.tar && rm audit.tar", timeout=600)


@pytest.mark.usefixtures("tools")
def test_lynis_finds_the_running_machine_no_worse_than_its_image(appliance: Appliance, lab: Path) -> None:
    said = appliance.sudo(
        f"cd {AUDIT}/lynis && sh ./lynis audit system --quick --no-colors --logfile {AUDIT}/lynis.log "
        f"--report-file {AUDIT}/lynis.dat 2>&1 || true",
        timeout=3600,
    )
    (lab / "lynis-live.txt").write_text(said)
    found = score.parse_lynis(appliance.sudo(f"cat {AUDIT}/lynis.dat"))
    (lab / "lynis-live.json").write_text(json.dumps(found, indent=1))
    floors = score.read_floors(score.HARDENING / "floors.toml")
    assert found["index"] >= floors.lynis, found


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("profile", ["cis_level1_server", "cis_level2_server", "anssi_bp28_enhanced"])
def test_openscap_finds_the_running_machine_hardly_worse_than_its_image(
    appliance: Appliance, lab: Path, profile: str
) -> None:
    is_ubuntu = profile.startswith("cis")
    rules = "cis.xml" if is_ubuntu else "anssi.xml"
    # Rules for another distribution apply to what says that it is one.
    said = "DISTRIB_ID=Ubuntu\nDISTRIB_CODENAME=jammy\n" if is_ubuntu else ""
    appliance.sudo(
        f'printf "{said}" >/etc/lsb-release; [ -s /etc/lsb-release ] || rm /etc/lsb-release; cd {AUDIT}; '
        # As in image/score.sh: now and then it waits for itself. It takes ten minutes under emulation.
        "for _ in 1 2; do OSCAP_CPE_PATH=$PWD/cpe timeout --kill-after=10 1700 "
        "lib/ld-linux-x86-64.so.2 --library-path lib ./oscap xccdf eval --skip-validation "
        f"--profile {score.PROFILE}{profile} --results results.xml {rules} >oscap.txt 2>oscap.log; status=$?; "
        "[ $status -eq 124 ] || [ $status -eq 137 ] || break; done; "
        "rm -f /etc/lsb-release; [ $status -eq 0 ] || [ $status -eq 2 ] || { tail oscap.log; exit 1; }",
        timeout=3600,
    )
    results = lab / f"{profile}.xml"
    results.write_text(appliance.sudo(f"cat {AUDIT}/results.xml", timeout=600))
    found = score.parse_xccdf(results)
    results.with_suffix(".json").write_text(json.dumps(found, indent=1))
    floors = score.read_floors(score.HARDENING / "floors.toml")
    assert found["percent"] >= floors.openscap[profile] - ONLY_LIVE, found
