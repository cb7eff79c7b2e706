"""``bpci alerts``: what is wrong now, who is told, and whether telling works."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bpci_node.cli.output import Progress, emit, fields, json_option, styled, table
from bpci_node.errors import UsageError

if TYPE_CHECKING:
    from bpci_node.network.alertmanager import Alertmanager

_Command = TypeVar("_Command", bound=Callable[..., Any])
_COLOURS = {"critical": "red", "warning": "yellow", "info": "cyan"}
_SECONDS = {"m": 60, "h": 3600, "d": 86400}
_MOST_SECONDS = 30 * 86400


def url_option(command: _Command) -> _Command:
    """Add the option that names another Alertmanager than this machine's."""
    return click.option(
        "--alertmanager", "url", metavar="URL", help="Ask this Alertmanager.  [default: this machine's]"
    )(command)


@click.group("alerts")
def command() -> None:
    """What is wrong on this machine, who is told, and whether telling works."""


@command.command("list")
@click.option(
    "--all", "show_all", is_flag=True, help="Show silenced alerts, and those that another one explains, as well."
)
@url_option
@json_option
def list_(*, show_all: bool, url: str | None, as_json: bool) -> int:
    """Show what is wrong now, the most urgent first, and what to do next.

    Exit status: 0 nothing is, 1 something is, 3 it could not be told: Prometheus does not reach Alertmanager, or
    Alertmanager does not answer.

    \b
    Examples:
      bpci alerts list
      bpci alerts list --all --json
    """
    from bpci_node.runtime.alerts.config import SEVERITIES
    from bpci_node.runtime.alerts.rendering import TEST_ALERT, WATCHDOG

    with _open(url) as manager:
        found = manager.alerts()
    is_watched = any(item.name == WATCHDOG for item in found)
    chosen = [
        item
        for item in found
        if item.name not in (WATCHDOG, TEST_ALERT) and (show_all or not (item.silenced_by or item.inhibited_by))
    ]
    order = {name: -number for number, name in enumerate(SEVERITIES)}
    chosen.sort(key=lambda item: (order.get(item.severity, 0), item.name, sorted(item.labels.items())))
    alerts = [
        {
            "name": item.name,
            "severity": item.severity,
            "since": item.starts_at,
            "summary": item.annotations.get("summary", ""),
            "description": item.annotations.get("description", ""),
            "action": item.annotations.get("action", ""),
            "labels": item.labels,
            "silenced": bool(item.silenced_by),
            "explained": bool(item.inhibited_by),
        }
        for item in chosen
    ]
    emit({"watched": is_watched, "alerts": alerts}, as_json, _render_alerts)
    if not is_watched:
        return 3
    return 1 if any(not item["silenced"] and not item["explained"] for item in alerts) else 0


@command.command("test")
@click.argument("receivers", nargs=-1, metavar="[RECEIVER]...")
@click.option("--timeout", type=click.IntRange(5, 600), default=90, show_default=True, help="Seconds to wait.")
@url_option
@json_option
def test(*, receivers: tuple[str, ...], timeout: int, url: str | None, as_json: bool) -> int:
    """Send a test alert the whole way, and wait until each receiver has taken it.

    It goes to Alertmanager as Prometheus's alerts do, from there to the relay, and from there to each RECEIVER (if
    none is named, all that people read). "Taken" means that the mail server or the web server at the other end said so.

    Exit status: 0 all took it, 1 one did not (with the reason), 2 no such receiver, 3 Alertmanager does not answer.

    \b
    Examples:
      bpci alerts test
      bpci alerts test mail:owner --json
    """
    from bpci_node.runtime.alerts import trial

    progress = Progress()
    with _open(url) as manager:
        chosen = trial.choose(manager.receivers(), receivers)
        try:
            results = trial.run(
                manager, chosen, timeout, lambda waiting: progress.update(f"waiting for {', '.join(waiting)} ...")
            )
        finally:
            progress.finish()
    data = {
        "results": [
            {"receiver": item.receiver, "delivered": item.reason is None, "reason": item.reason} for item in results
        ]
    }
    emit(data, as_json, _render_test)
    return 0 if all(item.reason is None for item in results) else 1


@command.command("receivers")
@url_option
@json_option
def receivers_(*, url: str | None, as_json: bool) -> None:
    """Show who is told, and how the last deliveries went.

    \b
    Examples:
      bpci alerts receivers
      bpci alerts receivers --json
    """
    from bpci_node.runtime.alerts import records, trial

    with _open(url) as manager:
        names = trial.known(manager.receivers())
    found = []
    for name in names:
        record = records.read(records.DIRECTORY, name)
        found.append(
            {
                "receiver": name,
                "succeeded": _moment(record.succeeded_ms),
                "failed": _moment(record.failed_ms),
                "reason": record.reason,
            }
        )
    emit({"receivers": found}, as_json, _render_receivers)


@command.command("silence")
@click.argument("alert")
@click.option(
    "--for", "duration", default="2h", show_default=True, metavar="TIME", help="Such as 30m, 2h, 3d; 30d at most."
)
@click.option("--reason", default="silenced by hand", show_default=True, help="Shown with the silence.")
@click.option("--where", "labels", multiple=True, metavar="LABEL=VALUE", help="Only where a label has this value.")
@url_option
@json_option
def silence(*, alert: str, duration: str, reason: str, labels: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Tell nobody of ALERT for a while. It is still found, and shown by 'bpci alerts list --all'.

    \b
    Examples:
      bpci alerts silence BpciRebootRequired --for 2d --reason "after the holidays"
      bpci alerts silence BpciDiskNearlyFull --where mountpoint=/srv
    """
    from bpci_node.runtime.alerts.rendering import WATCHDOG

    if alert == WATCHDOG:
        raise UsageError("the watchdog must be heard: its silence is the alarm", code="usage.call")
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", alert) is None:
        raise UsageError("this is no name of an alert", code="usage.call", hint="See 'bpci alerts list'.")
    matchers = {"alertname": alert}
    for label in labels:
        name, separator, value = label.partition("=")
        if not separator or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is None:
            raise UsageError("--where takes LABEL=VALUE", code="usage.call", hint="Such as --where mountpoint=/srv")
        matchers[name] = value
    begin = datetime.now(UTC)
    end = begin + timedelta(seconds=_seconds(duration))
    with _open(url) as manager:
        silence_id = manager.silence(
            matchers, starts_at=begin.isoformat(), ends_at=end.isoformat(), created_by=getpass.getuser(), comment=reason
        )
    data = {"silence": silence_id, "ends": end.isoformat(timespec="seconds")}
    emit(data, as_json, lambda item: fields({"silence": item["silence"], "ends": item["ends"]}))


@command.command("silences")
@url_option
@json_option
def silences(*, url: str | None, as_json: bool) -> None:
    """Show what nobody is told of for now.

    \b
    Examples:
      bpci alerts silences
    """
    with _open(url) as manager:
        found = [
            {
                "silence": item.id,
                "alerts": list(item.matchers),
                "ends": item.ends_at,
                "by": item.created_by,
                "reason": item.comment,
            }
            for item in manager.silences()
        ]
    emit({"silences": found}, as_json, _render_silences)


@command.command("unsilence")
@click.argument("silence_id", metavar="SILENCE")
@url_option
@json_option
def unsilence(*, silence_id: str, url: str | None, as_json: bool) -> None:
    """End a silence before its time.

    \b
    Examples:
      bpci alerts unsilence 7d3e1f0a-5a55-4ee5-8f22-7e6f0a1c9b11
    """
    with _open(url) as manager:
        manager.end_silence(silence_id)
    emit({"ended": silence_id}, as_json, lambda item: f"ended: {item['ended']}")


@command.command("apply")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("/etc/bpci/alerts.toml"),
    show_default=True,
    metavar="FILE",
)
@json_option
def apply_(*, config: Path, as_json: bool) -> None:
    """Put /etc/bpci/alerts.toml in force: who is told, how, from which severity on. Needs root.

    What Alertmanager's own check refuses is not put in place. Secrets stand in files that the configuration names;
    after one changed, apply again. docs/monitoring.md says what stands in the file.

    \b
    Examples:
      sudo bpci alerts apply && bpci alerts test
    """
    from bpci_node.runtime.alerts.applying import apply
    from bpci_node.runtime.alerts.config import receiver_id

    done = apply(config)
    emit(
        {"receivers": [receiver_id(item) for item in done.receivers]},
        as_json,
        lambda item: (
            f"in force: {', '.join(item['receivers'])}; try it with 'bpci alerts test'"
            if item["receivers"]
            else "in force: nobody is told"
        ),
    )


@command.command("relay", hidden=True)
@click.option("--receivers", "path", type=click.Path(path_type=Path), required=True, metavar="FILE")
@click.option("--records", "directory", type=click.Path(path_type=Path), required=True, metavar="DIR")
def relay(*, path: Path, directory: Path) -> None:
    """Deliver one notification that Alertmanager sends on standard input, a connection; run by systemd.

    \b
    Examples:
      bpci alerts relay --receivers /etc/bpci/alerts/relay.json --records /var/lib/bpci/monitoring/deliveries
    """
    import socket

    from bpci_node.runtime.alerts.relay import serve
    from bpci_node.runtime.alerts.rendering import read_relay_config

    try:
        receivers = read_relay_config(path.read_bytes())
        connection = socket.socket(fileno=0)
    except OSError as error:
        raise UsageError(f"the relay can't start: {error.strerror}", code="usage.call") from error
    serve(connection, receivers, directory)


@command.command("collect", hidden=True)
@click.argument("what", type=click.Choice(["disks", "certificates"]))
def collect(*, what: str) -> None:
    """Write figures for Prometheus that no exporter gives; run by systemd, as root.

    \b
    Examples:
      sudo bpci alerts collect disks
    """
    from bpci_node.runtime.alerts import collecting

    if what == "disks":
        text = collecting.disks_text(collecting.collect_disks(collecting.run_smartctl))
        collecting.write(collecting.TEXTFILES, "bpci_smart.prom", text)
    else:
        text = collecting.certificates_text(collecting.collect_certificates(collecting.CERTIFICATES))
        collecting.write(collecting.TEXTFILES, "bpci_tls.prom", text)


def _open(url: str | None) -> Alertmanager:
    from bpci_node.network.alertmanager import LOCAL_URL, Alertmanager

    return Alertmanager(url or LOCAL_URL)


def _seconds(text: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    seconds = 0 if match is None else int(match[1]) * _SECONDS[match[2]]
    if not 0 < seconds <= _MOST_SECONDS:
        raise UsageError("--for takes a time such as 30m, 2h or 3d, 30d at most", code="usage.call")
    return seconds


def _moment(time_ms: int | None) -> str | None:
    return None if time_ms is None else datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds")


def _render_alerts(data: dict[str, Any]) -> str:
    lines: list[str] = []
    for item in data["alerts"]:
        state = "silenced" if item["silenced"] else "explained" if item["explained"] else item["severity"]
        lines.append(f"{styled(state.upper(), fg=_COLOURS.get(state, 'white'))} {item['summary'] or item['name']}")
        lines += [f"  It means: {item['description']}"] if item["description"] else []
        lines += [f"  Next: {item['action']}"] if item["action"] else []
        lines += [f"  Since {item['since']}, {item['name']}", ""]
    if not data["watched"]:
        lines.append(
            "Prometheus does not report to Alertmanager (it may be starting, for two minutes), so more may be wrong."
        )
    elif not lines:
        lines.append("Nothing is wrong.")
    return "\n".join(lines).rstrip()


def _render_test(data: dict[str, Any]) -> str:
    rows = [
        [item["receiver"], "taken" if item["delivered"] else f"not taken: {item['reason']}"] for item in data["results"]
    ]
    return table(rows, ["receiver", "outcome"])


def _render_receivers(data: dict[str, Any]) -> str:
    if not data["receivers"]:
        return "Nobody is told. Write /etc/bpci/alerts.toml, then run 'sudo bpci alerts apply' (docs/monitoring.md)."
    rows = [
        [
            item["receiver"],
            item["succeeded"] or "never",
            f"{item['failed']}: {item['reason']}" if item["failed"] else "never",
        ]
        for item in data["receivers"]
    ]
    return table(rows, ["receiver", "last delivered", "last failed"])


def _render_silences(data: dict[str, Any]) -> str:
    if not data["silences"]:
        return "Nothing is silenced."
    rows = [[item["silence"], " ".join(item["alerts"]), item["ends"], item["reason"]] for item in data["silences"]]
    return table(rows, ["silence", "alerts", "ends", "reason"])
