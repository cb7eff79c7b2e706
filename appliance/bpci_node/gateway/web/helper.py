"""The web face's side of the machine's helper: one connection for each question, bounded in size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bpci_node.errors import BpciError, FormatError, RefusedError, UnreachableError
from bpci_node.primitives.json_text import read_json
from bpci_node.setup.acts.request import MAX_ANSWER, SOCKET, Request

SECONDS = 60.0
"""How long an answer may take: less than the front server waits for ours."""
MAX_BUNDLE = 256 << 20
PART = 1 << 16


@dataclass(frozen=True, slots=True)
class MachineHelper:
    """Asks the machine."""

    path: Path = Path(SOCKET)

    async def ask(self, request: Request) -> dict[str, Any]:
        """Return the answer to a request.

        Raises:
            RefusedError: the helper's reason, under its own code.
            UnreachableError: there is no helper, it is busy, or it gives up (``unreachable.machine``).
            FormatError: it sent something else (``format.reply``).
        """
        answer, _, writer = await self._asked(request)
        writer.close()
        return answer

    async def bundle(self) -> tuple[int, AsyncIterator[bytes]]:
        """Return the size of the support bundle, and its parts.

        Raises:
            BpciError: as :meth:`ask`.
        """
        answer, reader, writer = await self._asked(Request("bundle"))
        size = answer.get("bytes")
        if type(size) is not int or not 0 < size <= MAX_BUNDLE:
            writer.close()
            raise FormatError("the machine's helper sent no size", code="format.reply")
        return size, _parts(reader, writer, size)

    async def _asked(self, request: Request) -> tuple[dict[str, Any], asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(SECONDS):
                reader, writer = await asyncio.open_unix_connection(self.path, limit=MAX_ANSWER)
                try:
                    writer.write(request.encode())
                    line = await reader.readuntil(b"\n")
                except BaseException:
                    writer.close()
                    raise
        except TimeoutError as error:
            raise UnreachableError("the machine does not answer in time", code="unreachable.machine") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise UnreachableError(
                "the machine does not answer",
                code="unreachable.machine",
                hint="'systemctl status bpci-act.socket' says more.",
            ) from error
        except asyncio.LimitOverrunError as error:
            raise FormatError("the machine's helper sent too much", code="format.reply") from error
        try:
            return _read(line), reader, writer
        except BpciError:
            writer.close()
            raise


async def _parts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int) -> AsyncIterator[bytes]:
    try:
        left = size
        while left:
            part = await asyncio.wait_for(reader.read(min(PART, left)), SECONDS)
            if not part:
                return  # the browser sees that less came than was announced
            left -= len(part)
            yield part
    finally:
        writer.close()


def _read(line: bytes) -> dict[str, Any]:
    answer = read_json(line, max_bytes=MAX_ANSWER + 1)
    if type(answer) is not dict:
        raise FormatError("the machine's helper sent no map", code="format.reply")
    if "problem" in answer:
        raise _refusal(answer["problem"])
    return answer


def _refusal(problem: Any) -> RefusedError:
    found = problem if isinstance(problem, dict) else {}
    code, title = str(found.get("code", "refused"))[:60], str(found.get("title", "the machine refuses"))[:300]
    return RefusedError(title, code=code, hint=str(found.get("hint", ""))[:300] or None)
