from pathlib import Path

import pytest

from bpci_node.cli.backup import command
from bpci_node.errors import ProofError
from bpci_node.primitives.derivation import derive_keys
from bpci_node.runtime.backup import config
from bpci_node.setup import keystore

PHRASE, OTHER = "abandon " * 23 + "art", "zoo " * 23 + "vote"


def test_a_wrong_phrase_takes_no_key_away_and_what_was_set_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keystore, "can_seal", lambda _system: False)  # the key of this host is no concern of tests
    repository, key = tmp_path / "repository", tmp_path / "etc/bpci/keys/backup-key.key"
    key.parent.mkdir(parents=True)

    def init(phrase: str) -> None:
        file = tmp_path / "phrase"
        file.write_text(phrase)
        words = ["init", "--to", str(repository), "--phrase-file", str(file), "--root", str(tmp_path), "--json"]
        command.main(words, standalone_mode=False)

    init(PHRASE)
    mine = derive_keys(PHRASE).backup_key
    assert key.read_bytes() == mine
    settings = tmp_path / "etc/bpci/backup.toml"
    settings.write_text(settings.read_text().replace("daily = 7", "daily = 90"))
    with pytest.raises(ProofError) as caught:
        init(OTHER)
    assert (caught.value.code, key.read_bytes()) == ("backup.key", mine)
    init(PHRASE)
    assert config.load(settings).retention.daily == 90
