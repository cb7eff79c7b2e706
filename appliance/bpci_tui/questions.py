"""What is asked and what an answer must be like, for every face of the wizard: the screens and the plain lines.

Each check takes what was typed so far and returns what is still missing or wrong, or ``None``. The name that it returns
is a field of the question, so that a screen moves the focus there and plain lines ask for it again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bpci_node.errors import BpciError, FormatError, NotFoundError, UsageError
from bpci_node.setup.answers import ACCOUNT, HOSTNAME, INTERFACE, is_reserved
from bpci_node.setup.forms import check_network
from bpci_node.setup.places import is_zone
from bpci_node.setup.system import System
from bpci_tui.draft import Draft

if TYPE_CHECKING:
    from bpci_node.host.result import HardwareReport
    from bpci_node.network.file import NetworkFile

Problem = tuple[str, str]
"""Name of the field that is wrong (empty for none in particular), and what is wrong with it."""

NETWORK_FILE = "network.json"
WAYS = (("dhcp", "Automatic, as it is now (DHCP)"), ("static", "A fixed address"))
WIFI_WAY = ("wifi", "Wi-Fi")
OWN_LEDGER = (
    ("leave", "Begin only if the network has its later blocks"),
    ("take", "Go on from it: the earlier machine is gone, nobody has later blocks"),
)
IDENTITIES = (("create", "A new identity: show me its 24 words"), ("restore", "I have a recovery phrase"))
KEPT_IDENTITY = ("kept", "The identity whose keys are at rest on this machine already")
TYPES = (
    ("bpi-community", "Community: light registration, for people"),
    ("bpci-enterprise", "Enterprise: full registration, for companies"),
    ("hybrid", "Hybrid: both"),
)
PROFILES = (
    ("community", "Community: 8 processors, 8 GB, 500 GB SSD, 100 Mbit/s"),
    ("enterprise", "Enterprise: 16 processors, 32 GB, 1 TB SSD, 1 Gbit/s, TPM"),
    ("dev", "Development: any small machine, not fit to serve others"),
)
LEDGERS = (
    ("devnet", "A ledger of its own, on this machine (devnet)"),
    ("file", "A network, by its file bpci/network.json on a medium"),
    ("url", "A network, by the address of one of its nodes"),
)


def in_words(error: BpciError) -> str:
    """Return what happened and what to do, as whole sentences."""
    message = error.message if "://" in error.message.split()[0] else error.message[0].upper() + error.message[1:]
    return f"{message.rstrip('.')}. {error.hint or ''}".rstrip()


def check_places(draft: Draft, system: System) -> Problem | None:
    """Check the time zone; layouts are chosen from a list."""
    if not is_zone(system, draft.timezone):
        return "timezone", "This machine knows no such time zone. Write it like Europe/Berlin, or UTC."
    return None


def check_machine_name(draft: Draft) -> Problem | None:
    """Check the machine's name."""
    if not re.fullmatch(HOSTNAME, draft.hostname):
        return "hostname", "A machine's name has letters a-z, digits and -, at most 63."
    return None


def check_link(draft: Draft) -> Problem | None:
    """Check a fixed address, if one is wanted, and the machine's name."""
    if draft.network_mode == "static":
        if not re.fullmatch(INTERFACE, draft.interface):
            return "interface", "Which interface? Its name stands above."
        problem = _network_problem(draft)
        if problem is not None:
            return problem
    return check_machine_name(draft)


def check_air(draft: Draft) -> Problem | None:
    """Check name, country and passphrase of a Wi-Fi network."""
    if not draft.wifi_ssid:
        return "heard", "Which network? Choose it, or type its name."
    return _network_problem(draft)


def _network_problem(draft: Draft) -> Problem | None:
    try:
        check_network(draft.network_answers())
    except UsageError as error:
        return str(error.details["key"]).removeprefix("wifi_"), f"This {error.message}."
    return None


def check_disk(draft: Draft) -> Problem | None:
    """Ask for the size of a disk that is going to be erased."""
    from bpci_node.setup import disks  # noqa: PLC0415 - only where there is a disk to install to

    disk = draft.disk
    if disk is not None and not disks.is_confirmed(disk, draft.disk_typed):
        return "confirm", f"Type the size or the model of that disk to confirm: {disk.label}."
    return None


def check_owner(draft: Draft) -> Problem | None:
    """Check name and passwords in the order in which they are asked."""
    from bpci_node.setup.password import check_password  # noqa: PLC0415 - the first screen need not wait for it

    if not re.fullmatch(ACCOUNT, draft.owner) or is_reserved(draft.owner):
        return "owner", "A login name has a-z, 0-9, _ and -, begins with a letter, and is not one of the system's."
    if draft.password or not draft.password_hash:
        try:
            check_password(draft.password)
        except UsageError as error:
            return "password", in_words(error)
        if draft.repeated != draft.password:
            return "repeated", "The two passwords are not the same."
    if draft.web_password:
        try:
            check_password(draft.web_password)
        except UsageError as error:
            return "web", in_words(error)
    return None


def keys_on_media(system: System) -> list[str]:
    """Return the SSH keys that lie on the boot medium or a volume for set-up.

    Raises:
        NotFoundError: there are none (``not_found.ssh_keys``).
        FormatError: a line is not a plain public key (``format.ssh_key``).
    """
    from bpci_node.setup import media  # noqa: PLC0415 - only when asked for
    from bpci_node.setup.console import scan  # noqa: PLC0415
    from bpci_node.setup.forms import check_ssh_key  # noqa: PLC0415

    text = b"\n".join(item.files.get(media.SSH_KEYS, b"") for item in scan(system)).decode(errors="replace")
    lines = [line for line in (line.strip() for line in text.splitlines()) if line and not line.startswith("#")]
    if not lines:
        raise NotFoundError(f"there is no file bpci/{media.SSH_KEYS} on a medium", code="not_found.ssh_keys")
    for line in lines:
        try:
            check_ssh_key(line)
        except FormatError as error:
            message = f"the file {media.SSH_KEYS} holds a line that is not a plain public key; nothing was added"
            raise FormatError(message, code=error.code) from error
    return lines


def verdict(report: HardwareReport) -> str:
    """Return what the hardware checks come to, in whole sentences."""
    failed = [result.title for result in report.results if result.verdict.value == "fail"]
    if failed:
        return (
            f"Checks finished. Below what a community node needs: {', '.join(failed)}. The profile dev, for trying "
            "things out, is offered later."
        )
    as_far = ", as far as could be told" if report.verdict.value == "unknown" else ""
    return f"Checks finished. This machine can be a community node{as_far}."


def own_ledger(draft: Draft) -> str:
    """Return which of :data:`OWN_LEDGER` was chosen."""
    return "take" if draft.take_over_ledger else "leave"


def choose_identity(draft: Draft, chosen: str) -> None:
    """Take where the keys come from; another choice forgets the words of the one before."""
    if chosen not in ("kept", draft.identity):
        draft.identity, draft.phrase, draft.confirmed = chosen, "", []


def check_words(draft: Draft) -> Problem | None:
    """Compare the words that were asked for with the phrase."""
    words = draft.phrase.split()
    for index, position in enumerate(draft.positions):
        if draft.confirmed[index].strip().lower() != words[position - 1]:
            return f"word-{index}", f"That is not word {position}. Escape shows the words again."
    return None


def check_groups(draft: Draft) -> Problem | None:
    """Compare the groups that were asked for with the recovery key of the disk."""
    groups = draft.disk_key.split("-")
    for index, position in enumerate(draft.groups):
        if draft.typed_groups[index].strip().lower() != groups[position - 1]:
            return f"group-{index}", f"That is not group {position}. Escape shows the key again."
    return None


def check_phrase(draft: Draft) -> Problem | None:
    """Check the words that were typed and their checksum, and take them as the phrase."""
    from bpci_node.primitives.derivation import normalise_phrase  # noqa: PLC0415 - as above
    from bpci_tui.words import completed  # noqa: PLC0415

    try:
        draft.phrase = normalise_phrase(" ".join(completed(draft.restored)))
    except FormatError as error:
        return "phrase", in_words(error)
    return None


def check_repository(draft: Draft) -> Problem | None:
    """Check how the place of a backup is written."""
    if len(draft.repository) > 512 or not draft.repository.isprintable():
        return "repository", "The place of a repository has at most 512 printable characters."
    return None


def check_node(draft: Draft, system: System, *, offers_disk: bool) -> Problem | None:
    """Check the name, and that the machine meets the profile, as far as it is known."""
    from bpci_node.setup.hardware import hold_against  # noqa: PLC0415 - as above

    name = draft.node_name
    if not 0 < len(name) <= 64 or not name.isprintable():
        return "name", "A node's name has 1 to 64 printable characters."
    report = hold_against(system, draft.checks, draft.profile, offers_disk=offers_disk)
    failed = [f"{item.title} {item.text}, {item.requirement}" for item in report.results if item.verdict == "fail"]
    if failed:
        return "profile", f"This machine does not meet that profile: {'; '.join(failed)}. Choose Development."
    return None


def check_ledger(draft: Draft) -> Problem | None:
    """Check the name of the ledger, or the form of the address."""
    from bpci_node.network.file import NAME, check_url  # noqa: PLC0415 - as above

    if draft.join == "devnet" and not NAME.fullmatch(draft.ledger_name):
        return "ledger", "A ledger's name has a-z, 0-9 and -, at most 32 characters."
    if draft.join == "url":
        try:
            check_url(draft.registry_url)
        except BpciError as error:
            return "url", in_words(error)
    return None


def find_network(draft: Draft, system: System) -> tuple[NetworkFile, str]:
    """Reach the network that is to be joined; return its file and the node that answered.

    Raises:
        BpciError: it is not reached; the message says what is in the way, in plain words.
    """
    from bpci_node.network import file as network_file  # noqa: PLC0415 - as above
    from bpci_node.setup import ledger, preflight  # noqa: PLC0415

    url = draft.registry_url if draft.join == "url" else ""
    try:
        found = ledger.fetch_network(url) if url else network_file.parse(_network_text(system))
        with ledger.reach_network(found) as client:
            return found, client.where
    except NotFoundError:
        raise
    except BpciError as error:
        trouble = preflight.first_trouble(preflight.look(system, url))
        if trouble is not None and trouble.code != "registry":
            error.hint = trouble.line
        raise


def _network_text(system: System) -> bytes:
    from bpci_node.setup.console import scan  # noqa: PLC0415 - as above

    for medium in scan(system):
        if NETWORK_FILE in medium.files:
            return medium.files[NETWORK_FILE]
    raise NotFoundError(
        f"there is no file bpci/{NETWORK_FILE} on the boot medium or a volume BPCI-SETUP",
        code="not_found.network_file",
        hint="Put it there, and press Enter again.",
    )


def network_lines(found: NetworkFile, where: str) -> list[str]:
    """Return what is known of a network, for a person to compare with what its operator has said."""
    from bpci_node.primitives.keys import did_of  # noqa: PLC0415 - as above

    name, _, digest = found.ledger_id.partition(":")
    return [
        f"Reached {where}",
        f"Network   {name}",
        f"Genesis   {digest}",
        f"Registry  {did_of(found.registry_key)}",
    ]
