"""Entries on their way to a machine's node from outside, and the receipts that it gave for them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from random import Random

from benchmarks.intake import shaped_transactions
from image.boot import BPCI
from tests.infra.appliance import Appliance


class Load:
    """Signed entries that nobody has sent before, a few in each request; every receipt is on this side's disk."""

    def __init__(self, appliance: Appliance, directory: Path, points: Random, entries: int) -> None:
        self.appliance, self.receipts = appliance, directory / "receipts.jsonl"
        raws = shaped_transactions(entries, first_key=points.getrandbits(200))
        file, said = directory / "entries.txt", directory / "client.log"
        file.write_text("".join(f"0x{raw.hex()}\n" for raw in raws))
        command = [BPCI, "mempool", "submit", str(file), "--node", appliance.url, "--batch", "8"]
        with said.open("wb") as log:
            self.process = subprocess.Popen([*command, "--receipts", str(self.receipts)], stdout=log, stderr=log)
        self.said = said

    def count(self) -> int:
        """Return how many receipts the node has given."""
        return self.receipts.read_bytes().count(b"\n") if self.receipts.exists() else 0

    def wait_for(self, receipts: int, timeout: float = 600) -> None:
        """Wait until the node has given so many receipts."""

        def are_there() -> bool:
            if self.count() >= receipts:
                return True
            assert self.process.poll() is None, f"{self.count()} receipts:\n{self.said.read_text()}"
            return False

        self.appliance.machine.console.wait_until(are_there, f"{receipts} receipts", timeout)

    def check(self) -> None:
        """Hold every receipt against the node."""
        self.process.wait(300)
        given = self.count()
        command = [BPCI, "mempool", "check-receipts", str(self.receipts), "--node", self.appliance.url, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        checked = json.loads(done.stdout)
        assert checked["broken"] == []
        assert checked["receipts"] == checked["pooled"] == given > 0
