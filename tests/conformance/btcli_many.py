"""Many commands of btcli in one process, since each takes two seconds to start.

Argument lists come as JSON on the standard input; a line of JSON goes out for each, with its exit
status and what it printed.
"""

import contextlib
import io
import json
import sys

from bittensor.cli.main import main

from tests import sdk_sessions


def run(words: list[str]) -> dict[str, object]:
    """One command, as its own process would run it."""
    sys.argv = ["btcli", *words]
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
    return {"status": status, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    sdk_sessions.install()
    for words in json.load(sys.stdin):
        sys.stdout.write(json.dumps(run(words)) + "\n")
        sys.stdout.flush()
