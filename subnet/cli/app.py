"""`subnet`: finds the verb, runs it, and turns whatever goes wrong into one line and an exit code.

Verbs are imported when they are called, so that `subnet --help` is fast.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from subnet.cli import exits, output


@dataclass(frozen=True, slots=True)
class Verb:
    """A command that is not imported yet: `module` has a Typer named `app`."""

    module: str
    summary: str


VERBS = {
    "audit": Verb("subnet.cli.audit", "Check what a validator published of one epoch."),
    "audit-key": Verb("subnet.cli.audit_key", "Print the key to an epoch's withheld questions."),
    "calibrate": Verb("subnet.cli.calibrate", "Measure what honest answers look like to a judge."),
    "chain": Verb("subnet.cli.chain", "Look at a chain: blocks, events, a subnet's seats."),
    "conformance": Verb("subnet.cli.conformance", "Test any miner's URL against the wire."),
    "demo": Verb("subnet.cli.demo.command", "Run a whole subnet on this machine, and judge it."),
    "devnet": Verb("subnet.cli.devnet", "Run a development chain."),
    "doctor": Verb("subnet.cli.doctor", "Say what would keep a miner or validator from working."),
    "explain": Verb("subnet.cli.explain", "Say why a miner got what it got."),
    "hints": Verb("subnet.cli.hints", "Show who may be one operator, a copier or an outlier."),
    "manifest": Verb("subnet.cli.manifest", "Say what a subnet pays for, and who gets the pay."),
    "miner": Verb("subnet.cli.miner", "Run one miner."),
    "model": Verb("subnet.cli.model", "Fetch and find the model file."),
    "replay": Verb("subnet.cli.replay", "Judge recorded rounds by other code: who gains or loses."),
    "service": Verb("subnet.cli.service", "Print a systemd unit or a container file."),
    "state": Verb("subnet.cli.state", "Look at a validator's memory, back it up, restore it."),
    "status": Verb("subnet.cli.status", "Say how a validator stands, from its journal."),
    "upgrade": Verb("subnet.cli.upgrade", "Try a new version on the last rounds, then switch."),
    "validator": Verb("subnet.cli.validator", "Run one validator."),
}

# The parent of every "you called it wrongly" of typer, wherever its version keeps that class.
_UsageError: type[Any] = typer.BadParameter.__mro__[1]


class Verbs(TyperGroup):
    """The group of all verbs."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        # Names only: typer suggests from these what a mistyped verb was meant to be.
        self.commands = {name: TyperCommand(name) for name in VERBS}

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order of the help."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import one verb."""
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command = typer.main.get_command(importlib.import_module(verb.module).app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])

    def main(  # type: ignore[override]  # it never returns
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run the command line and exit; nothing but --debug shows a traceback."""
        arguments = list(sys.argv[1:] if args is None else args) or ["--help"]
        debug = "--debug" in itertools.takewhile(lambda word: word.startswith("-"), arguments)
        try:
            code = super().main(arguments, prog_name="subnet", standalone_mode=False, **extra)
        except _UsageError as error:
            where = f"{error.ctx.command_path} --help" if error.ctx else "subnet --help"
            output.fail(f"{error.format_message().rstrip('.?')}; see: {where}")
            sys.exit(exits.USAGE)
        except typer.Abort:
            sys.exit(exits.INTERRUPTED)
        except BaseException as error:
            if isinstance(error, SystemExit) or debug:
                raise
            code = exits.code_of(error)
            if code is None:
                output.fail(f"a bug: {type(error).__name__}: {error}; run again with --debug")
                code = exits.BUG
            elif code != exits.INTERRUPTED:
                output.fail(str(error))
        sys.exit(code if isinstance(code, int) else exits.DONE)


app = typer.Typer(
    cls=Verbs,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        output.result(f"subnet {version('subnetkit')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks instead of one-line errors.")
    ] = False,
) -> None:
    """Incentivized AI subnets on Bittensor: a local chain, miners, validators, a judging kit."""


def main() -> None:
    """Entry point of the `subnet` command."""
    app()


if __name__ == "__main__":
    main()
