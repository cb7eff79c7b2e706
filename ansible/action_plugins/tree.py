"""``tree``: put a directory's files in place, in one round trip.

``ansible.builtin.copy`` makes several trips for each file of a directory, which was half of the play's time.

Arguments:
    src: directory below the role's ``files``, or an absolute path, on the controller.
    dest: directory on the target; what is missing of the way to a file is made, for everybody to read.
    mode: mode of each file; ``preserve``: 0755 for what may be executed here and 0644 for the rest, since the other
        bits of a checkout depend on who made it.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

ARGUMENTS = frozenset({"src", "dest", "mode"})


class ActionModule(ActionBase):  # type: ignore[misc]
    """Reads the files here, and lets the module of the same name compare and write them there."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send the files, and return what the module says: ``changed``, ``paths``, ``diff``."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = self._task.args
        if set(given) != ARGUMENTS:
            raise AnsibleActionFail(f"tree takes {', '.join(sorted(ARGUMENTS))}")
        source = Path(self._find_needle("files", given["src"]))
        files = {
            str(path.relative_to(source)): (base64.b64encode(path.read_bytes()).decode(), mode_of(path, given["mode"]))
            for path in sorted(source.rglob("*"))
            if path.is_file()
        }
        if not files:
            raise AnsibleActionFail(f"no files in {source}")
        arguments = {"dest": given["dest"], "files": files}
        result.update(self._execute_module("tree", module_args=arguments, task_vars=task_vars))
        result.pop("invocation", None)  # it would repeat every file
        return result


def mode_of(path: Path, wanted: str) -> str:
    """Return the mode that a file gets, in octal."""
    if wanted != "preserve":
        return wanted
    return "0755" if path.stat().st_mode & 0o100 else "0644"
