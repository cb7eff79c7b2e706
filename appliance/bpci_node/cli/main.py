"""The ``bpci`` command: a table of groups, each imported only when it is called.

Invariants: exit statuses are 0 holds or done, 1 looked at and does not hold, 2 wrong call, 3 could not be told or
reached, and 130 when a person interrupts. No traceback reaches a person unless the fault is ours.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from bpci_node import __version__
from bpci_node.cli.output import report, say
from bpci_node.errors import BpciError, UsageError

GROUPS = {
    "setup": "Set this machine up: wizard, or answers file.",
    "console": "Show this node's state on the machine's console.",
    "machine": "Network, keyboard, time zone, clock of this machine.",
    "access": "Who may sign in at this machine, and what was done there.",
    "doctor": "Find what is wrong on this machine, and repair it.",
    "support": "What to send to somebody who helps.",
    "backup": "Make, prove and restore encrypted backups.",
    "alerts": "What is wrong now, who is told, and whether telling works.",
    "update": "Update the node from a signed bundle, or go back.",
    "disk": "The data partition: its room, and the keys of its encryption.",
    "hardware": "Check this machine against a node's requirements.",
    "node": "Run and ask a node.",
    "devnet": "A node on this machine, within seconds.",
    "mempool": "Send entries, prove what waits, seal bundles.",
    "auction": "Bid hidden, watch windows, play auctions with real blocks.",
    "notary": "Take part in the committees of auctions.",
    "bundle": "Show and verify sealed bundles.",
    "light": "Follow auctions and verify their bundles.",
    "proof": "Check entries and commands of a ledger.",
    "registry": "Look nodes up, register one, invite, suspend.",
    "miner": "Let a registered node mine, see what it earned.",
    "validator": "Set a validator up, look at it, report one.",
    "enterprise": "An enterprise's first steps: authority, stake, validator.",
    "identity": "A D-Adhaar, and credentials that are issued, shown and verified.",
    "authority": "Become an authority, vouch for one, look one up.",
    "governance": "Propose, vote, delegate, and have what passed executed.",
    "dao": "Found a DAO, join one, vote in it, spend its treasury.",
    "wallet": "Keys under a passphrase, addresses, balances, transfers, names.",
    "faucet": "Ask for test money, see what is left, make codes.",
    "network": "Network files, genesis, archives and snapshots of the ledger.",
}
"""Groups in the order of ``--help``; each is ``cli/<name>.py`` with a click object ``command``."""

EXAMPLES = """\b
Examples:
  bpci devnet up
  bpci mempool replay data/mainnet/*.json.gz --seal --out auction.bundle
  bpci bundle verify auction.bundle --network network.json
  bpci hardware check --profile community

\b
Completion (add to your shell's start-up file):
  eval "$(bpci completion bash)"
"""


class LazyGroup(click.Group):
    """A group that knows the names and one-line helps of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table, then what is defined here."""
        return [*GROUPS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of ``cmd_name`` and return its command."""
        if cmd_name not in GROUPS:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"bpci_node.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table from the one-line helps, so that ``bpci --help`` imports nothing."""
        own = {name: self.commands[name].get_short_help_str() for name in super().list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(list({**GROUPS, **own}.items()))


@click.command(
    cls=LazyGroup, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, "--version", prog_name="bpci", message="%(prog)s %(version)s")
def cli() -> None:
    """BPCI Community OS: a node, its auctions, and the machine they run on.

    Exit status: 0 it holds or is done, 1 it does not hold, 2 the call was wrong, 3 it could not be told.
    """


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      eval "$(bpci completion bash)"
      bpci completion fish > ~/.config/fish/completions/bpci.fish
    """
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    if completer is None:
        raise UsageError(f"no completion for {shell}", code="usage.shell")
    click.echo(completer(cli, {}, "bpci", "_BPCI_COMPLETE").source())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        status = cli.main(args=given, prog_name="bpci", standalone_mode=False)
    except BpciError as error:
        report(error, as_json=as_json)
        sys.exit(error.status)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "bpci"
        hint = f"Try '{where} --help'."
        report(UsageError(error.format_message(), code="usage.call", hint=hint), as_json=as_json)
        sys.exit(2)
    except click.ClickException as error:
        report(UsageError(error.format_message(), code="usage.call"), as_json=as_json)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        # The reader went away (``bpci ... | head``): nobody is left to tell, and Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the outermost boundary: a fault of ours is named as such
        say(traceback.format_exc().rstrip())
        fault = BpciError(f"this is a fault in bpci: {error}", hint="please report it with the lines above")
        report(fault, as_json=as_json)
        sys.exit(3)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
