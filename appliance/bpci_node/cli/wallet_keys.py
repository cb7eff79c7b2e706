"""Keys that commands sign with: a key file, or a wallet under a passphrase. No secret is ever an argument."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bpci_node.cli.files import read_file
from bpci_node.errors import AccessError, UsageError

if TYPE_CHECKING:
    from bpci_node.host.wallet_directory import WalletDirectory
    from bpci_node.host.wallet_file import OpenWallet
    from bpci_node.primitives.keys import LocalSigner

_Command = TypeVar("_Command", bound=Callable[..., Any])

MAX_PASSPHRASE_BYTES = 8192

wallets_option = click.option(
    "--wallets",
    "wallets",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where wallets lie.  [default: $BPCI_WALLETS, or ~/.local/share/bpci/wallets]",
)
passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Its first line is the wallet's passphrase; - is standard input, /dev/fd/3 a descriptor.  [default: ask]",
)


@dataclass(slots=True)
class KeySource:
    """Where a command's key comes from. It is opened once, when it is first needed."""

    path: Path | None
    """A key file."""
    wallet: str | None = None
    """Name of a wallet, if no file is given."""
    wallets: Path | None = None
    """Where wallets lie; ``None``: in the default place."""
    passphrase_file: Path | None = None
    """Whose first line is the passphrase; ``None``: the person is asked."""
    _signer: LocalSigner | None = field(default=None, repr=False)

    def signer(self) -> LocalSigner:
        """Return the signer.

        Raises:
            UsageError: the key file can't be read, or others may read it (``config.key_file``); nobody can be asked for
                a passphrase (``usage.passphrase``).
            BpciError: the wallet does not open (``keystore.*``).
        """
        if self._signer is None:
            self._signer = self._open()
        return self._signer

    def _open(self) -> LocalSigner:
        if self.wallet is not None:
            return open_named(self.wallet, self.wallets, self.passphrase_file).signer
        from bpci_node.primitives.keys import LocalSigner
        from bpci_node.runtime.key_files import read_key

        return LocalSigner(read_key(f"file:{self.path}", key="--key"))


def key_options(*, required: bool) -> Callable[[_Command], _Command]:
    """Return a decorator that adds ``--key`` and ``--wallet``; the function receives a ``key_file``: KeySource."""

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def call(
            *arguments: Any,
            key_path: Path | None,
            wallet: str | None,
            wallets: Path | None,
            passphrase_file: Path | None,
            **others: Any,
        ) -> Any:
            if key_path is not None and wallet is not None:
                raise click.UsageError("--key and --wallet exclude one another")
            if key_path is None and wallet is None:
                if required:
                    raise click.UsageError("Missing option '--key' or '--wallet'.")
                return command(*arguments, key_file=None, **others)
            source = KeySource(key_path, wallet, wallets, passphrase_file)
            return command(*arguments, key_file=source, **others)

        options = (
            click.option(
                "--key",
                "key_path",
                type=click.Path(path_type=Path, dir_okay=False),
                metavar="FILE",
                help="The account's key: 32 bytes in a file of mode 0600.",
            ),
            click.option("--wallet", metavar="NAME", help="In place of --key: a wallet of 'bpci wallet'."),
            passphrase_option,
            wallets_option,
        )
        for option in reversed(options):
            call = option(call)
        return call  # type: ignore[return-value]  # click's decorators keep what they decorate

    return decorate


def directory_of(wallets: Path | None) -> WalletDirectory:
    """Return the directory that ``--wallets``, or ``BPCI_WALLETS``, means."""
    from bpci_node.host.wallet_directory import WalletDirectory, default_wallets

    named = os.environ.get("BPCI_WALLETS")
    return WalletDirectory(wallets or (Path(named) if named else default_wallets()))


def open_named(name: str, wallets: Path | None, passphrase_file: Path | None) -> OpenWallet:
    """Return a wallet, opened with the passphrase that is asked for or read.

    Raises:
        AccessError: a token is of another account (``wallet.account``); others as the keystore's.
    """
    from bpci_node.host.wallet_file import open_wallet, read_header

    data = directory_of(wallets).read(name)
    header = read_header(data)
    passphrase, account = read_passphrase(passphrase_file, f"Passphrase of {name}")
    if account not in (None, header.account):
        raise AccessError("the token is of another account's wallet", code="wallet.account")
    return open_wallet(data, passphrase)


def read_passphrase(file: Path | None, question: str, *, is_new: bool = False) -> tuple[str, str | None]:
    """Return a passphrase, and the account of the token that it came in, if it did.

    Args:
        file: whose first line it is; ``None``: ask without echo.
        is_new: ask twice, and take no token.
    Raises:
        UsageError: there is nobody to ask (``usage.passphrase``), or the file can't be read (``usage.file``).
    """
    if file is None:
        if not sys.stdin.isatty():
            raise UsageError(
                "there is no terminal to ask for the passphrase",
                code="usage.passphrase",
                hint="Give it in a file or descriptor: --passphrase-file.",
            )
        asked: str = click.prompt(question, hide_input=True, err=True, confirmation_prompt=is_new)
        return asked, None
    try:
        text = read_file(file, MAX_PASSPHRASE_BYTES).decode("utf-8").split("\n", 1)[0].removesuffix("\r")
    except UnicodeDecodeError as error:
        raise UsageError("the passphrase is not UTF-8", code="usage.passphrase") from error
    from bpci_node.primitives.wallet_address import is_address, parse_token

    if is_new or not is_address(text):
        return text, None
    token = parse_token(text)
    return token.password, token.address.account
