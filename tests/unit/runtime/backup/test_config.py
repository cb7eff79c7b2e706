from pathlib import Path

import pytest

from bpci_node.errors import AccessError, UsageError
from bpci_node.runtime.backup.config import BackupConfig, dump, parse, place_of


def test_what_is_written_is_read_back() -> None:
    for config in (
        BackupConfig("/mnt/disk/bpci"),
        BackupConfig("rest:https://host/attic", credentials=Path("/etc/bpci/backup/server"), append_only=True),
        BackupConfig("sftp:u@nas:/b", ssh_key=Path("/k"), known_hosts=Path("/h"), ssh_port=2222, upload_kib=9),
    ):
        assert parse(dump(config), source="backup.toml") == config


@pytest.mark.parametrize(
    "line",
    [
        'repository = "relative"',
        'repository = "rest:https://me:hunter2@host/x"',
        'repository = "sftp:u@nas:/b"',
        'repository = "/x"\nretain = 3',
        'repository = "/x"\ncheck_percent = 0',
        'repository = "/x"\n[retention]\nlast = 0',
        "repository = 3",
        "",
    ],
    ids=["relative", "password", "no-key", "unknown", "no-share", "keep-none", "number", "missing"],
)
def test_what_is_wrong_is_refused_and_no_password_is_repeated(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(f"v = 1\n{line}\n", source="backup.toml")
    assert "hunter2" not in caught.value.message
    assert caught.value.code in {"config.key", "config.value"}


def test_credentials_go_into_the_environment_and_what_is_shown_has_none(tmp_path: Path) -> None:
    file = tmp_path / "server"
    file.write_text("# of the server\nREST_USERNAME=attic\nREST_PASSWORD=p/w@d\n")
    file.chmod(0o600)
    config = BackupConfig("rest:https://host/attic", credentials=Path("/server"))
    place = place_of(config, tmp_path)
    assert place.repository == "rest:https://attic:p%2Fw%40d@host/attic"
    assert place.shown == "rest:https://host/attic"
    assert not any("p/w" in word for word in place.options)
    assert "p/w@d" not in repr(place)
    file.chmod(0o640)
    with pytest.raises(AccessError) as caught:
        place_of(config, tmp_path)
    assert caught.value.code == "backup.credentials"
    file.chmod(0o600)
    file.write_text("RESTIC_PASSWORD_COMMAND=touch /tmp/x\n")
    with pytest.raises(UsageError):
        place_of(config, tmp_path)
