"""Everything a round works with, in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bittensor_core import Keypair

from chain.client.chain import Chain
from subnet.config import ValidatorSettings
from subnet.definition import Subnet
from subnet.wire.dendrite import Dendrite
from validators.commits import Commits
from validators.journal import Journal
from validators.lease import Lease
from validators.ledger import Ledger
from validators.prompts.vault import Vault
from validators.sinks import Sinks
from validators.watch import Watch


@dataclass(frozen=True, slots=True)
class Bench:
    """What a round works with; the validator opens and closes it."""

    settings: ValidatorSettings
    keypair: Keypair
    chain: Chain
    dendrite: Dendrite
    subnet: Subnet[Any, Any]
    vault: Vault[Any, Any]
    ledger: Ledger
    commits: Commits
    journal: Journal
    sinks: Sinks
    seed: bytes
    clock: Callable[[], float]
    """Unix time in seconds, for the journal."""
    watch: Watch = field(default_factory=Watch)
    lease: Lease | None = None

    @property
    def hotkey(self) -> str:
        """This validator's hotkey (ss58)."""
        return str(self.keypair.ss58_address)

    @property
    def netuid(self) -> int:
        """The subnet it validates."""
        return self.settings.netuid

    def note(self, line: Mapping[str, Any]) -> None:
        """Write a line that is no round's into the journal."""
        self.journal.append({**line, "run": self.ledger.run, "time": self.clock()})
