"""A headless Chromium, driven over the DevTools protocol through a pipe: what a person's browser does with our pages.

No package drives it: the protocol is lines of JSON that end with a zero byte, on file descriptors 3 and 4.
Source: https://chromedevtools.github.io/devtools-protocol/ and Chromium's ``--remote-debugging-pipe``.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BINARY = shutil.which("chromium")
ANSWER_SECONDS = 60.0
"""How long the browser may take for one thing, on a machine that has better to do."""

_KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "ArrowDown": (40, ""),
    "ArrowUp": (38, ""),
}


class Browser:
    """One browser with one page."""

    def __init__(self, process: subprocess.Popen[bytes], to: int, back: int) -> None:
        self._process, self._to, self._back = process, to, back
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []
        """What the page told of itself and nobody has looked at."""
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Security"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the page's session and return its result."""
        return self._call(method, parameters, self._session)

    def open(self, url: str) -> None:
        """Open an address and wait until the page is there."""
        self.events.clear()
        found = self.call("Page.navigate", url=url)
        assert "errorText" not in found, found
        self.await_event("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression in the page; promises are awaited."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key as a person does."""
        code, text = _KEYS[key]
        modifiers = 8 if shift else 0
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        """Type a text where the focus is."""
        self.call("Input.insertText", text=text)

    def await_event(self, method: str) -> dict[str, Any]:
        """Return the next event of that name."""
        end = time.monotonic() + ANSWER_SECONDS
        while True:
            for place, event in enumerate(self.events):
                if event["method"] == method:
                    del self.events[: place + 1]
                    return event
            self._take(end)

    def await_true(self, script: str) -> None:
        """Wait until a JavaScript expression holds."""
        end = time.monotonic() + ANSWER_SECONDS
        while not self.run(f"!!({script})"):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.02)

    def screenshot(self, path: Path, *, width: int = 1100, height: int = 800, is_dark: bool = False) -> None:
        """Write a picture of the page."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def complaints(self) -> list[str]:
        """Return what the browser found wrong with the page: refused loads, errors of scripts, broken policies."""
        self.run("1")
        found = []
        for event in self.events:
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in {"error", "warning"}:
                found.append(event["params"]["entry"]["text"])
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(event["params"]["exceptionDetails"]))
        return found

    def _call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        end = time.monotonic() + ANSWER_SECONDS
        while True:
            answer = self._take(end)
            if answer is not None and answer["id"] == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result

    def _take(self, end: float) -> dict[str, Any] | None:
        """Read one message; keep it if it is an event, return it if it is an answer."""
        while b"\0" not in self._buffer:
            left = end - time.monotonic()
            assert left > 0, "the browser does not answer"
            assert self._process.poll() is None, "the browser ended"
            if select.select([self._back], [], [], min(left, 1.0))[0]:
                part = os.read(self._back, 1 << 16)
                assert part, "the browser closed its pipe"
                self._buffer += part
        line, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        if "id" in message:
            return message
        self.events.append(message)
        return None


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends are far from the numbers that the browser wants."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 100) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Start a browser with a fresh profile, and end it.

    Args:
        profile: directory that does not exist yet.
    """
    assert BINARY is not None, "chromium is missing; run scripts/host-setup.sh test"
    to_read, to_write = _pipe()
    back_read, back_write = _pipe()
    arguments = [
        BINARY,
        "--headless=new",
        "--no-sandbox",  # a container's root has no user name spaces to build one of; the pages are our own
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--no-default-browser-check",
        "--password-store=basic",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--lang=en",
        f"--user-data-dir={profile}",
        "--remote-debugging-pipe",
    ]
    # The browser wants its pipe at exactly these two numbers.
    shell = ["bash", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{back_write}', *arguments]
    with (profile.parent / f"{profile.name}.log").open("wb") as log:
        process = subprocess.Popen(
            shell, pass_fds=(to_read, back_write), stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    os.close(to_read)
    os.close(back_write)
    try:
        yield Browser(process, to_write, back_read)
    finally:
        os.close(to_write)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        os.close(back_read)
