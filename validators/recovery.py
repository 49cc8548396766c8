"""After a crash: what ledger and journal say must be the same rounds.

A round's line is held beside the journal before the ledger remembers the round, and appended when
its weights are done with. Whoever finds a held line knows that something ended in between: if the
ledger has the round its line is written now, and if not, the round never was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from validators.journal import Journal, last_round
from validators.ledger import Ledger

log = logging.getLogger(__name__)

CUT_SHORT = "the round was cut short before its weights"
"""What a line says that was written while its process was being stopped."""
UNKNOWN = "the round was cut off before it could say what became of its weights"


def recover(journal: Journal, ledger: Ledger, *, clock: Callable[[], float]) -> None:
    """At the start: make the journal say what the ledger knows; `clock` is Unix time in seconds.

    Rounds that the ledger remembers and no line tells of (somebody moved the journal away, say)
    are named in a line of kind "lost". Rounds that the ledger does not remember (it was restored
    from a backup) will be asked again under the same numbers: a line of kind "rewound" says to
    what round, and whoever reads on takes the later line. Raises StateError.
    """
    finish_held(journal, ledger)
    remembered, written = ledger.next_round() - 1, last_round(journal.path)
    if written < remembered:
        log.warning("the journal lacks rounds %d to %d", written + 1, remembered)
        lost = {"round": written + 1, "through": remembered, "run": ledger.run, "time": clock()}
        journal.append({"kind": "lost", **lost})
    elif written > remembered:
        log.warning("the ledger is %d rounds behind the journal", written - remembered)
        rewound = {"round": written, "through": remembered, "run": ledger.run, "time": clock()}
        journal.append({"kind": "rewound", **rewound})


def finish_held(journal: Journal, ledger: Ledger) -> None:
    """Write the line that is held, if there is one and its round is remembered.

    Raises StateError.
    """
    held = journal.find_held()
    if held is None:
        return
    number = int(held["round"])
    if last_round(journal.path) < number < ledger.next_round():
        held["weights"]["problem"] = UNKNOWN
        journal.append({**held, "recovered": True})
        log.warning("round %d was cut off; its line is in the journal now", number)
    journal.release()
