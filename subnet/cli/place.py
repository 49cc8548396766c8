"""Where a command works: on which chain and subnet, with whose keys and in which folder.

Nearly all commands take the same options for it. A command has one parameter that is a `Place`,
and `with_place` gives it the options.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from subnet.config import Flags, Settings

R = TypeVar("R")
S = TypeVar("S", bound="Settings")

Config = Annotated[
    Path | None, typer.Option(help="Settings file; if not given, subnet.toml here if there is one.")
]
Chain = Annotated[
    str | None, typer.Option("--network", help="local, test, finney, or a ws:// address.")
]
NetUid = Annotated[int | None, typer.Option(help="Number of the subnet.")]
Wallet = Annotated[str | None, typer.Option(help="Name of the wallet.")]
Hotkey = Annotated[str | None, typer.Option(help="Name of the hotkey in the wallet.")]
WalletPath = Annotated[Path | None, typer.Option(help="Folder with the wallets.")]
Definition = Annotated[
    str | None, typer.Option(help="The subnet, as package.module:Class; this folder is looked in.")
]
State = Annotated[
    Path | None,
    typer.Option(help="Folder of the ledger and the journal; if not given, the settings say."),
]


@dataclasses.dataclass(frozen=True)
class Place:
    """What was given on the command line; None is "not given".

    A field is named as its option is.
    """

    config: Config = None
    network: Chain = None
    netuid: NetUid = None
    wallet: Wallet = None
    hotkey: Hotkey = None
    wallet_path: WalletPath = None

    def flags(self, **tables: Mapping[str, object]) -> Flags:
        """What `subnet.config.load` takes, with what else was given for other tables."""
        network = {
            "chain": self.network,
            "netuid": self.netuid,
            "wallet": self.wallet,
            "hotkey": self.hotkey,
            "wallet_path": self.wallet_path,
        }
        return {"network": network, **tables}

    def settings(self, kind: type[S], **tables: Mapping[str, object]) -> S:
        """The settings of a process here. Raises SettingsError."""
        from subnet.config import load

        return load(kind, file=self.config, flags=self.flags(**tables))


@dataclasses.dataclass(frozen=True)
class ValidatorPlace(Place):
    """The place of a validator, which has a folder to remember in."""

    state: State = None

    def flags(self, **tables: Mapping[str, object]) -> Flags:
        """The same; the folder is one of the validator's settings."""
        validator = {"state": self.state, **tables.pop("validator", {})}
        return super().flags(validator=validator, **tables)

    def folder(self) -> Path:
        """The folder that was named, else that of the settings. Raises SettingsError."""
        from subnet.config import ValidatorSettings

        if self.state is not None:  # whatever is wrong with the settings
            return at_home(self.state, "--state")
        return self.settings(ValidatorSettings).state_folder()


def at_home(path: Path, option: str) -> Path:
    """With a home for its `~`. Raises a usage error."""
    from subnet import config

    try:
        return config.at_home(path)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


def a_number(value: float | None) -> float | None:
    """What an option may be: `nan` is neither below a limit nor above it.

    Older releases of typer take it inside of every range.
    """
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is no number")
    return value


def find_journal(folder: Path) -> Path:
    """The journal in a validator's folder. Raises StateError where there is none to be read."""
    from subnet.errors import StateError
    from validators.journal import FILE_NAME

    path = folder / FILE_NAME
    try:
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        raise StateError(path, "there is no journal; name its folder with --state") from None
    except OSError as error:  # a service's is for its own user alone
        raise StateError.of(path, error) from error
    return path


def with_place(command: Callable[..., R]) -> Callable[..., R]:
    """Have typer offer the options of a command's parameter `place`, which it does not know."""
    signature = inspect.signature(command, eval_str=True)
    place = signature.parameters["place"]
    options = inspect.signature(place.annotation, eval_str=True).parameters

    @functools.wraps(command)
    def called(**given: Any) -> R:
        chosen = place.annotation(**{name: given.pop(name) for name in options})
        return command(place=chosen, **given)

    vars(called)["__signature__"] = signature.replace(
        parameters=[
            # By name: an option that may be left out can stand before one that may not.
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for own in signature.parameters.values()
            for parameter in (options.values() if own is place else [own])
        ]
    )
    return called


def search_working_folder() -> None:
    """Find an author's own module, which lies where a console script does not look."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
