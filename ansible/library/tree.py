"""The far side of ``tree``: see ../action_plugins/tree.py, which says what it is for and hands over the files."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def text(content: bytes) -> str:
    """Return what ``--diff`` shows of a file."""
    return content.decode(errors="replace")


def main() -> None:
    """Compare each file with what is there, and replace what differs."""
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "files": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    changed: list[str] = []
    differences: list[dict[str, str]] = []
    for name, (encoded, mode) in sorted(module.params["files"].items()):
        path = Path(module.params["dest"]) / name
        wanted = base64.b64decode(encoded)
        found = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        if found != wanted:
            changed.append(str(path))
            differences.append(
                {
                    "before_header": str(path),
                    "before": text(found or b""),
                    "after_header": str(path),
                    "after": text(wanted),
                }
            )
            if module.check_mode:
                continue
            make_directories(path.parent)
            descriptor, temporary = tempfile.mkstemp(dir=module.tmpdir)
            with os.fdopen(descriptor, "wb") as file:
                file.write(wanted)
            module.atomic_move(temporary, str(path))
        if module.set_mode_if_different(str(path), mode, changed=False) and str(path) not in changed:
            changed.append(str(path))
    module.exit_json(changed=bool(changed), paths=changed, diff=differences)


def make_directories(directory: Path) -> None:
    """Make what is missing of a directory's path, for everybody to read."""
    missing = [parent for parent in (directory, *directory.parents) if not parent.exists()]
    for path in reversed(missing):
        path.mkdir()
        path.chmod(0o755)


if __name__ == "__main__":
    main()
