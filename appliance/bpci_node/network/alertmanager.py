"""What is asked of Alertmanager on this machine: alerts, silences, receivers.

Source: Alertmanager's API v2 (``api/v2/openapi.yaml`` in its repository).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from bpci_node.errors import BpciError, FormatError, NotFoundError, UnreachableError
from bpci_node.network.transport import Reply, Transport
from bpci_node.network.wire import JSON
from bpci_node.primitives.json_text import read_json

LOCAL_URL = "http://127.0.0.1:9093/alerts"
"""Where Alertmanager of this machine answers."""
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert that Alertmanager holds."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    """RFC 3339."""
    silenced_by: tuple[str, ...]
    """Ids of the silences that keep it quiet."""
    inhibited_by: tuple[str, ...]
    """Fingerprints of the alerts that explain it."""
    receivers: tuple[str, ...]

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.labels.get("alertname", "")

    @property
    def severity(self) -> str:
        """``info``, ``warning`` or ``critical``."""
        return self.labels.get("severity", "warning")


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that nobody is told of for a while."""

    id: str
    matchers: tuple[str, ...]
    """Such as ``alertname=BpciDiskNearlyFull``."""
    ends_at: str
    """RFC 3339."""
    created_by: str
    comment: str


class Alertmanager:
    """Talks to one Alertmanager."""

    def __init__(self, url: str = LOCAL_URL) -> None:
        """Take an address; nothing is sent yet.

        Raises:
            FormatError: not such an address (``format.url``).
        """
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise FormatError("not the address of Alertmanager", code="format.url") from error
        self._prefix = parts.path.rstrip("/")
        self._transport = Transport(f"{parts.scheme}://{parts.netloc}", timeout_seconds=_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def alerts(self) -> list[ActiveAlert]:
        """Return the alerts that it holds, silenced and explained ones among them."""
        with _understood():
            return [
                ActiveAlert(
                    _texts(item["labels"]),
                    _texts(item["annotations"]),
                    str(item["startsAt"]),
                    tuple(item["status"]["silencedBy"]),
                    tuple(item["status"]["inhibitedBy"]),
                    tuple(str(receiver["name"]) for receiver in item["receivers"]),
                )
                for item in self._get("/api/v2/alerts")
            ]

    def post_alerts(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Tell it of alerts, each ``{labels, annotations, startsAt, endsAt}``."""
        self._send("POST", "/api/v2/alerts", list(alerts))

    def receivers(self) -> list[str]:
        """Return the names of its receivers."""
        with _understood():
            return [str(item["name"]) for item in self._get("/api/v2/receivers")]

    def silences(self) -> list[Silence]:
        """Return the silences that hold now, or will."""
        with _understood():
            return [
                Silence(
                    str(item["id"]),
                    tuple(
                        f"{matcher['name']}{'=~' if matcher['isRegex'] else '='}{matcher['value']}"
                        for matcher in item["matchers"]
                    ),
                    str(item["endsAt"]),
                    str(item["createdBy"]),
                    str(item["comment"]),
                )
                for item in self._get("/api/v2/silences")
                if item["status"]["state"] != "expired"
            ]

    def silence(self, labels: Mapping[str, str], *, starts_at: str, ends_at: str, created_by: str, comment: str) -> str:
        """Keep alerts with these labels quiet until ``ends_at``, and return the silence's id."""
        matchers = [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in labels.items()]
        body = {
            "matchers": matchers,
            "startsAt": starts_at,
            "endsAt": ends_at,
            "createdBy": created_by,
            "comment": comment,
        }
        with _understood():
            return str(self._send("POST", "/api/v2/silences", body)["silenceID"])

    def end_silence(self, silence_id: str) -> None:
        """End a silence.

        Raises:
            NotFoundError: there is none of this id (``not_found.silence``).
        """
        reply = self._ask("DELETE", f"/api/v2/silence/{quote(silence_id, safe='')}", None)
        if reply.status in (400, 404, 422, 500):
            raise NotFoundError(
                "there is no such silence", code="not_found.silence", hint="See 'bpci alerts silences'."
            )
        self._value(reply)

    def _get(self, path: str) -> Any:
        return self._value(self._ask("GET", path, None))

    def _send(self, method: str, path: str, body: Any) -> Any:
        return self._value(self._ask(method, path, json.dumps(body).encode()))

    def _ask(self, method: str, path: str, content: bytes | None) -> Reply:
        headers = {"Content-Type": JSON} if content is not None else {}
        try:
            return self._transport.request(method, self._prefix + path, content=content, headers=headers)
        except BpciError as error:
            raise UnreachableError(
                f"Alertmanager can't be asked: {error.message}",
                code="unreachable.alertmanager",
                hint="It starts once set-up is complete; see 'systemctl status bpci-alertmanager'.",
            ) from error

    def _value(self, reply: Reply) -> Any:
        if reply.status != 200:
            raise _strange(f"HTTP status {reply.status}")
        if not reply.body:
            return None
        with _understood():
            return read_json(reply.body, max_bytes=len(reply.body), allow_fractions=True)


class _understood:  # noqa: N801 - a context manager reads as a verb
    """Translates a reply of another form."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (KeyError, TypeError, AttributeError, FormatError)):
            raise _strange("a reply of another form") from error


def _strange(what: str) -> UnreachableError:
    return UnreachableError(
        f"what answers where Alertmanager should is something else ({what})",
        code="unreachable.alertmanager",
        hint="See who listens on port 9093.",
    )


def _texts(value: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()}
