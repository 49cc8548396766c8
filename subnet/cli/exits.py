"""Exit codes: what a script may rely on, decided once for all commands.

0    done
1    it ran, and the result is bad (a law broken, a check failed), or it could not go on
2    wrong usage or settings
3    the hotkey is not registered on the subnet
4    the chain is away
5    the chain refused
6    the model file is missing, or is another one
7    a port is taken
8    a wallet file is missing or cannot be used
9    what a process remembers cannot be used, or the disk is full
10   a validator's weights have not landed for too many epochs
11   a watchdog ended the process: no round was over in its time, or nothing ran any more
12   another instance holds the lease: start again, and it waits for its turn
70   a bug of ours: run again with --debug, and tell us
130  interrupted (Ctrl-C); 143: asked to end (SIGTERM)
"""

from __future__ import annotations

import errno

DONE = 0
FAILED = 1
USAGE = 2
NOT_REGISTERED = 3
CHAIN_AWAY = 4
CHAIN_REFUSED = 5
MODEL = 6
PORT_TAKEN = 7
WALLET = 8
STATE = 9
NOT_LANDED = 10
STALLED = 11
LEASE = 12
BUG = 70
INTERRUPTED = 130
TERMINATED = 143


def code_of(error: BaseException) -> int | None:
    """The exit code of an error that a command may end with; None for a bug."""
    from chain import errors as chain
    from subnet import errors as subnet

    table: tuple[tuple[type[BaseException], int], ...] = (
        (subnet.SettingsError, USAGE),
        (subnet.DefinitionError, USAGE),
        (subnet.MissingExtra, USAGE),
        (subnet.NotRegistered, NOT_REGISTERED),
        (subnet.ModelError, MODEL),
        (subnet.PortTaken, PORT_TAKEN),
        (subnet.WalletError, WALLET),
        (subnet.StateError, STATE),
        (subnet.WeightsNotLanded, NOT_LANDED),
        (subnet.LeaseLost, LEASE),
        (subnet.SubnetError, FAILED),
        (chain.ChainAway, CHAIN_AWAY),
        (chain.ChainRefused, CHAIN_REFUSED),
        (chain.ChainError, FAILED),
        (PermissionError, FAILED),
        (KeyboardInterrupt, INTERRUPTED),
    )
    for kind, code in table:
        if isinstance(error, kind):
            return code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return STATE
    return None
