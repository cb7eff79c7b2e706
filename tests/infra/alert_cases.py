"""For every rule of alerts: figures under which it fires, and figures next to them under which it does not.

Series are in promtool's notation: ``a+bxn`` is n+1 values that begin with a and grow by b.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Series = tuple[tuple[str, str], ...]

BPCI = 'job="bpci",instance="local"'
DISK = 'device="/dev/sda4",fstype="ext4",mountpoint="/data"'
BOOT = 'device="/dev/sda1",fstype="vfat",mountpoint="/boot/efi"'
GUARD = 'bpci_registry_guard{state="%s"}'
HOT = 'chip="k10",sensor="temp1",instance="local",job="machine"'
WEB = 'bpci_certificate_expiry_timestamp_seconds{name="web"}'


@dataclass(frozen=True, slots=True)
class Case:
    """One rule's two sides."""

    fires: Series
    quiet: Series
    steps: int = 30
    """After how many values it is looked at."""
    step: str = "1m"
    """Time between two values."""
    fires_too: Series = ()
    """Other figures under which it fires."""


def steady(*pairs: tuple[str, float | int], minutes: int = 200) -> Series:
    return tuple((name, f"{value}+0x{minutes}") for name, value in pairs)


def space(size: float, free: float, *, where: str = DISK, minutes: int = 200) -> Series:
    return steady(
        (f"node_filesystem_size_bytes{{{where}}}", size),
        (f"node_filesystem_avail_bytes{{{where}}}", free),
        (f"node_filesystem_readonly{{{where}}}", 0),
        minutes=minutes,
    )


def sealing(entries: str, sealed: str) -> Series:
    return (('bpci_pool_entries{target="eip155:1"}', entries), ("bpci_bundles_sealed_total", sealed))


def auction(epochs: int, halted: int, growth: int) -> Series:
    return (
        *steady(("bpci_auction_epochs", epochs), ("bpci_auction_halted", halted)),
        ('bpci_auction_boundaries_total{class="10"}', f"5+{growth}x200"),
    )


def ledger(waiting: int, growth: int) -> Series:
    return (("bpci_ledger_waiting_commands", f"{waiting}+0x60"), ("bpci_ledger_height", f"7+{growth}x60"))


def heard(when: str, *, lag: str, of: str = "local") -> Series:
    labels = f'job="bpci",instance="{of}"'
    return (
        (f"bpci_ledger_heard_timestamp_seconds{{{labels}}}", when),
        (f"bpci_ledger_lag{{{labels}}}", lag),
        (f"process_start_time_seconds{{{labels}}}", "10+0x60"),
    )


def backups(success: str, drill: str) -> Series:
    return (
        ("bpci_backup_last_success_timestamp_seconds", success),
        ("bpci_backup_last_drill_timestamp_seconds", drill),
    )


CASES = {
    "BpciNodeDown": Case(steady((f"up{{{BPCI}}}", 0)), ((f"up{{{BPCI}}}", "1+0x27 0+0x1 1+0x9"),)),
    "BpciNodeRestarts": Case(
        ((f"process_start_time_seconds{{{BPCI}}}", "10+10x60"),), steady((f"process_start_time_seconds{{{BPCI}}}", 10))
    ),
    "BpciNodeNotReady": Case(steady(("bpci_ready", 0)), (("bpci_ready", "1+0x19 0+0x30"),)),
    "BpciGuardClosed": Case(steady((GUARD % "expired", 1)), steady((GUARD % "proved", 1), (GUARD % "expired", 0))),
    "BpciStoreFailing": Case((("bpci_store_failures_total", "0+1x60"),), steady(("bpci_store_failures_total", 3))),
    "BpciEntriesNotSealed": Case(sealing("4+0x200", "3+0x200"), sealing("4+0x200", "3+1x200"), 120),
    "BpciAuctionStalled": Case(auction(1, 0, 0), auction(1, 0, 9)),
    "BpciAuctionHalted": Case(steady(("bpci_auction_halted", 1)), steady(("bpci_auction_halted", 0))),
    "BpciCommandsNotSealed": Case(
        ledger(2, 0),
        # A node that has just started has had no time yet for its first block.
        (
            *ledger(2, 1),
            ('bpci_ledger_waiting_commands{i="new"}', "_x29 2+0x9"),
            ('bpci_ledger_height{i="new"}', "_x29 7+0x9"),
        ),
    ),
    "BpciLedgerStopped": Case(steady(("bpci_ledger_stopped", 1)), steady(("bpci_ledger_stopped", 0))),
    "BpciOutOfSync": Case(steady(("bpci_ledger_lag", 21)), steady(("bpci_ledger_lag", 20))),
    "BpciLedgerSilent": Case(
        heard("0+0x60", lag="0+0x60"),
        # Who makes the blocks hears of nobody.
        heard("0+60x60", lag="0+0x60") + heard("NaN+0x60", lag="0+0x60", of="sequencer"),
        # Nobody has answered since the start.
        fires_too=heard("NaN+0x60", lag="NaN+0x60"),
    ),
    "BpciLedgerTimeAway": Case(
        steady(("bpci_auction_clock_away_seconds", -6)), steady(("bpci_auction_clock_away_seconds", 4))
    ),
    "BpciDiskFull": Case(space(1e10, 1e8), space(1e10, 3e8)),
    "BpciDiskNearlyFull": Case(space(1e11, 4e9), space(1e12, 6e9)),
    "BpciDiskFillsSoon": Case(
        (*space(1e11, 0)[::2], (f"node_filesystem_avail_bytes{{{DISK}}}", "40000000000-1800000000x20")),
        (*space(1e11, 0)[::2], (f"node_filesystem_avail_bytes{{{DISK}}}", "40000000000-60000000x20")),
        12,
        "1h",
    ),
    "BpciDiskFilesNearlyUsedUp": Case(
        steady(
            (f"node_filesystem_files{{{DISK}}}", 1000),
            (f"node_filesystem_files_free{{{DISK}}}", 40),
            (f"node_filesystem_readonly{{{DISK}}}", 0),
        ),
        # A file system that counts no files, such as the one that the firmware reads, is not full of them.
        steady(
            (f"node_filesystem_files{{{BOOT}}}", 0),
            (f"node_filesystem_files_free{{{BOOT}}}", 0),
            (f"node_filesystem_readonly{{{BOOT}}}", 0),
        ),
    ),
    "BpciDiskReadOnly": Case(
        steady((f"node_filesystem_readonly{{{DISK}}}", 1)),
        steady(('node_filesystem_readonly{mountpoint="/media/stick"}', 1)),
    ),
    "BpciDiskWorn": Case(
        steady(('bpci_disk_wear_percent{device="/dev/nvme0"}', 80)),
        steady(('bpci_disk_wear_percent{device="/dev/nvme0"}', 79)),
    ),
    "BpciDiskFailing": Case(
        steady(('bpci_disk_health_ok{device="/dev/sda"}', 0)), steady(('bpci_disk_health_ok{device="/dev/sda"}', 1))
    ),
    "BpciMemoryLow": Case(
        steady(("node_memory_MemAvailable_bytes", 4), ("node_memory_MemTotal_bytes", 100)),
        steady(("node_memory_MemAvailable_bytes", 6), ("node_memory_MemTotal_bytes", 100)),
    ),
    "BpciMemoryPressure": Case(
        (("node_pressure_memory_stalled_seconds_total", "0+9x60"),),
        (("node_pressure_memory_stalled_seconds_total", "0+3x60"),),
    ),
    "BpciOutOfMemory": Case((("node_vmstat_oom_kill", "0+1x60"),), steady(("node_vmstat_oom_kill", 2))),
    "BpciTemperatureHigh": Case(
        steady((f"node_hwmon_temp_celsius{{{HOT}}}", 76), (f"node_hwmon_temp_crit_celsius{{{HOT}}}", 80)),
        # A limit that cannot be one is not believed.
        steady((f"node_hwmon_temp_celsius{{{HOT}}}", 76), (f"node_hwmon_temp_crit_celsius{{{HOT}}}", 0)),
    ),
    "BpciClockUnsynchronized": Case(
        steady(("node_timex_sync_status", 0), minutes=60), (("node_timex_sync_status", "1+0x9 0+0x10 1+0x30"),)
    ),
    "BpciClockOff": Case(
        steady(("node_timex_maxerror_seconds", 0.1), ("node_timex_offset_seconds", -0.06)),
        steady(("node_timex_maxerror_seconds", 0.1), ("node_timex_offset_seconds", 0.001)),
    ),
    "BpciCertificateEndsSoon": Case(steady((WEB, 10 * 86400)), steady((WEB, 20 * 86400)), 90),
    "BpciCertificateEnds": Case(steady((WEB, 86400)), steady((WEB, 3 * 86400))),
    "BpciUnitFailed": Case(
        steady(('node_systemd_unit_state{name="x.service",state="failed"}', 1)),
        steady(('node_systemd_unit_state{name="x.service",state="active"}', 1)),
    ),
    "BpciBackupFailed": Case(steady(("bpci_backup_failed", 1)), steady(("bpci_backup_failed", 0))),
    "BpciBackupOld": Case(backups("60+0x200", "0+0x200"), backups("60+3600x200", "0+0x200"), 80, "1h"),
    # One that was never made is not old, and its first tries may still be under way.
    "BpciBackupNever": Case(backups("0+0x200", "0+0x200"), backups("0+0x70 9+0x100", "0+0x200"), 80, "1h"),
    "BpciDrillOld": Case(backups("60+3600x1000", "60+0x1000"), backups("60+3600x1000", "0+0x1000"), 970, "1h"),
    # The week's drill of a machine that had its first backup lately is still to come.
    "BpciDrillNever": Case(backups("60+3600x400", "0+0x400"), backups("0+0x60 60+3600x340", "0+0x400"), 380, "1h"),
    "BpciUpdatePending": Case(
        steady(("bpci_update_pending", 1)), (("bpci_update_pending", "0+0x30 1+0x200"),), 190, "1h"
    ),
    "BpciUpdateFailed": Case(steady(("bpci_update_failed", 1)), steady(("bpci_update_failed", 0))),
    "BpciRebootRequired": Case(
        steady(("bpci_reboot_required", 1)), (("bpci_reboot_required", "0+0x20 1+0x200"),), 80, "1h"
    ),
    "BpciFiguresMissing": Case(steady(('up{job="machine"}', 0)), steady(('up{job="machine"}', 1))),
    "BpciFigureFileUnreadable": Case(
        steady(("node_textfile_scrape_error", 1)), steady(("node_textfile_scrape_error", 0))
    ),
    "BpciFiguresOld": Case(
        steady(('node_textfile_mtime_seconds{file="/d/bpci_smart.prom"}', 0), minutes=400),
        # Backups and updates write when they happen; their own rules judge their age.
        steady(('node_textfile_mtime_seconds{file="/d/bpci_backup.prom"}', 0), minutes=400),
        300,
    ),
    "BpciRulesFailing": Case(
        (("prometheus_rule_evaluation_failures_total", "0+1x60"),),
        steady(("prometheus_rule_evaluation_failures_total", 1)),
    ),
    "BpciPrometheusConfiguration": Case(
        steady(("prometheus_config_last_reload_successful", 0)), steady(("prometheus_config_last_reload_successful", 1))
    ),
    "BpciPrometheusStore": Case(
        (("prometheus_tsdb_compactions_failed_total", "0+1x60"),),
        steady(("prometheus_tsdb_compactions_failed_total", 1), ("prometheus_tsdb_wal_corruptions_total", 1)),
    ),
    "BpciAlertsNotHandedOn": Case(
        (("prometheus_notifications_dropped_total", "0+1x60"),),
        # Some are dropped at each start, before Alertmanager is found.
        (
            ("prometheus_notifications_dropped_total", "0+0x22 6+0x40"),
            ("prometheus_notifications_alertmanagers_discovered", "1+0x60"),
        ),
    ),
    "BpciAlertsNotDelivered": Case(
        (('alertmanager_notification_requests_failed_total{integration="webhook"}', "0+1x60"),),
        # What passed once the line was there again is nobody's trouble.
        (('alertmanager_notification_requests_failed_total{integration="webhook"}', "0+0x17 9+0x40"),),
    ),
    "BpciAlertmanagerConfiguration": Case(
        steady(("alertmanager_config_last_reload_successful", 0)),
        steady(("alertmanager_config_last_reload_successful", 1)),
    ),
}
"""Every rule but the watchdog, which fires whatever the figures are."""


def promtool_tests(path: str, names: Iterable[str], step: str) -> dict[str, object]:
    """Return the cases of one ``step`` as promtool's test file.

    Args:
        path: file of rules, as promtool finds it.
        names: of the rules in it.
    """
    tests = []
    for name in names:
        case = CASES.get(name, Case((), (), 1))
        if case.step == step:
            tests.append(_test(name, case, case.fires, is_firing=True))
            tests += [_test(name, case, case.fires_too, is_firing=True)] if case.fires_too else []
            tests += [_test(name, case, case.quiet, is_firing=False)] if name in CASES else []
    return {"rule_files": [path], "evaluation_interval": step, "tests": tests}


def _test(name: str, case: Case, figures: Series, *, is_firing: bool) -> dict[str, object]:
    question = {
        "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
        "eval_time": f"{case.steps}{case.step[-1]}",
        "exp_samples": [{"labels": "{}", "value": 1}] if is_firing else [],
    }
    return {
        "name": f"{name} {'fires' if is_firing else 'is quiet'}",
        "interval": case.step,
        "input_series": [{"series": key, "values": values} for key, values in figures],
        "promql_expr_test": [question],
    }
