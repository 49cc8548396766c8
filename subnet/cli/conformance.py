"""`subnet conformance`: does a miner keep to the wire? Any miner, in any language, by its URL."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json as jsonlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import SplitResult, urlsplit

import typer

from subnet.cli import exits, output
from subnet.cli.place import (
    Config,
    Definition,
    Hotkey,
    Wallet,
    WalletPath,
    search_working_folder,
)

if TYPE_CHECKING:
    from subnet.config import Settings
    from subnet.conformance.suite import Row

app = typer.Typer(add_completion=False, rich_markup_mode=None)

WIDTH = 160
"""Columns of the table where nobody says how many there are."""
MIB = 1 << 20
SEED = b"conformance"
"""What the suite's own question grows from; nothing is paid for its answer."""


@app.command()
def conformance(
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="The miner: http://HOST:PORT, with its path or not."),
    ],
    receiver: Annotated[str, typer.Option(metavar="SS58", help="The miner's hotkey.")],
    path: Annotated[
        str | None, typer.Option(help="Path of a question; without it, the definition's.")
    ] = None,
    body: Annotated[
        str | None,
        typer.Option(
            metavar="JSON|@FILE",
            help="A question the miner answers; without it, one of the definition's tasks.",
        ),
    ] = None,
    content_type: Annotated[
        str, typer.Option(help="Of a --body that is not JSON.")
    ] = "application/json",
    stream_path: Annotated[
        str | None, typer.Option(help="Path whose answers are streams, if there is one.")
    ] = None,
    stream_body: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE", help="A question for it; else the body.")
    ] = None,
    definition: Definition = None,
    wallet: Wallet = None,
    hotkey: Hotkey = None,
    wallet_path: WalletPath = None,
    uri: Annotated[
        str | None,
        typer.Option(help="A development key to ask with, such as //Alice, instead of a wallet's."),
    ] = None,
    ed25519_uri: Annotated[
        str | None, typer.Option(help="A development key of ed25519 that the miner serves, too.")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=0.1, help="Seconds in which slow requests must be cut off.")
    ] = 30.0,
    oversize: Annotated[
        int, typer.Option(min=1, max=1024, help="MiB of a body that must be refused.")
    ] = 32,
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Test any miner's URL against the wire: good requests, and attacks that must be refused.

    It connects to that URL alone, sends some 60 requests, and needs a hotkey that the miner
    serves, best one that is not at work meanwhile: it spends that caller's share. Exit 0:
    everything passed or does not apply; 1: something failed or proves nothing.
    """
    from subnet.config import Settings, load

    flags: dict[str, dict[str, object]] = {
        "network": {"wallet": wallet, "hotkey": hotkey, "wallet_path": wallet_path},
        "subnet": {"definition": definition},
    }
    search_working_folder()
    settings = load(Settings, file=config, flags=flags)
    rows = asyncio.run(
        _ask(
            settings,
            _parse(url),
            receiver,
            path=path,
            body=body,
            content_type=content_type,
            stream=(stream_path, stream_body),
            uris=(uri, ed25519_uri),
            patience_s=patience,
            oversize_bytes=oversize * MIB,
        )
    )
    if json:
        output.data({"url": url, "receiver": receiver, "rows": [_plain(row) for row in rows]})
    else:
        output.result(_table(rows))
    if not all(row.verdict in ("passed", "not applicable") for row in rows):
        raise typer.Exit(exits.FAILED)


async def _ask(
    settings: Settings,
    url: SplitResult,
    receiver: str,
    *,
    path: str | None,
    body: str | None,
    content_type: str,
    stream: tuple[str | None, str | None],
    uris: tuple[str | None, str | None],
    patience_s: float,
    oversize_bytes: int,
) -> list[Row]:
    from bittensor_core import CRYPTO_ED25519, CRYPTO_SR25519

    from subnet.config import open_hotkey
    from subnet.conformance.cases import CASES
    from subnet.conformance.exchange import Endpoint
    from subnet.conformance.subject import Subject
    from subnet.conformance.suite import run
    from subnet.wire.auth import find_public_key

    if find_public_key(receiver) is None:
        raise _wrong("--receiver", f"{receiver} is no ss58 address of 48 characters")
    if url.path not in ("", "/"):
        path = path or url.path
    question = None if body is None else _read("--body", body, content_type)
    if path is None or question is None:
        path, question, content_type = await _of_definition(settings, path, question, content_type)
    stream_path, stream_body = stream
    for name, value in (("--path", path), ("--stream-path", stream_path or "/")):
        if not value.startswith("/") or not value.isascii() or not set(value).isdisjoint(" ?#\r\n"):
            raise _wrong(name, f"{value!r} must start with /, percent-encoded, without a query")
    uri, ed25519_uri = uris
    subject = Subject(
        Endpoint(url.hostname or "", url.port or (443 if url.scheme == "https" else 80),
                 url.scheme == "https"),
        receiver,
        path,
        question,
        open_hotkey(settings.network) if uri is None else _dev_key("--uri", uri, CRYPTO_SR25519),
        content_type=content_type,
        ed25519_key=None
        if ed25519_uri is None
        else _dev_key("--ed25519-uri", ed25519_uri, CRYPTO_ED25519),
        stream_path=stream_path,
        stream_body=question
        if stream_body is None
        else _read("--stream-body", stream_body, content_type),
        patience_s=patience_s,
        oversize_bytes=oversize_bytes,
    )  # fmt: skip
    output.say(
        f"{len(CASES)} cases against {url.netloc}{path}, as {subject.key.ss58_address}; "
        f"the slow ones take up to {patience_s:g} s"
    )
    return await run(subject)


async def _of_definition(
    settings: Settings, path: str | None, question: bytes | None, content_type: str
) -> tuple[str, bytes, str]:
    """Path, question and content type as the subnet's validators would have them."""
    from subnet.definition import load
    from subnet.wire import codec

    subnet = load(
        settings.subnet.definition,
        model_sha256=settings.model.sha256,
        engine=settings.engine,
    )
    if question is None:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(subnet.judge())
            tasks: Any = subnet.tasks(SEED)
            if isinstance(tasks, AsyncIterator):
                task = await anext(tasks)
            else:
                task = next(tasks)
        question = codec.encode(task.challenge)
        content_type = task.challenge.form.value
    return path or subnet.path, question, content_type


def _parse(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        known = None
    if not known or parts.query or parts.fragment or "@" in parts.netloc:
        raise _wrong("URL", f"{url!r} is no http://HOST:PORT/PATH")
    return parts


def _read(name: str, given: str, content_type: str) -> bytes:
    """A body as it was given, or of a file."""
    if given.startswith("@"):
        try:
            raw = Path(given[1:]).read_bytes()
        except OSError as error:
            raise _wrong(name, f"cannot read {given[1:]}: {error.strerror}") from None
    else:
        raw = given.encode()
    try:
        if content_type == "application/json":
            jsonlib.loads(raw)
    except ValueError as error:
        raise _wrong(name, f"is no JSON: {error}") from None
    return raw


def _dev_key(name: str, uri: str, scheme: int) -> Any:
    from bittensor_core import Keypair

    try:
        return Keypair.create_from_uri(uri, crypto_type=scheme)
    except ValueError:
        raise _wrong(name, f"{uri!r} is no key URI, such as //Alice") from None


def _wrong(name: str, problem: str) -> Exception:
    from subnet.errors import InvalidSetting

    return InvalidSetting(name, "the command line", problem)


def _plain(row: Row) -> dict[str, str]:
    return {**dataclasses.asdict(row), "verdict": row.verdict.value}


def _table(rows: list[Row]) -> str:
    """One row a case, and under it how many came to which verdict."""
    import io
    import shutil

    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE, pad_edge=False)
    for title, share in (
        ("verdict", 0),
        ("case", 0),
        ("what was sent", 3),
        ("what must happen", 3),
        ("what happened", 3),
        ("why it matters", 4),
    ):
        table.add_column(title, no_wrap=not share, ratio=share or None)
    for row in rows:
        cells = (row.case, row.sent, row.must, row.happened, row.why)
        table.add_row(row.verdict.value.replace("failed", "FAILED"), *cells)
    page = io.StringIO()
    width = max(shutil.get_terminal_size((WIDTH, 24)).columns, 100)
    Console(file=page, width=width, markup=False, highlight=False, emoji=False).print(table)
    counts = Counter(row.verdict.value for row in rows)
    # The box has a blank column at its left, and blank lines around it.
    lines = [line[1:].rstrip() for line in page.getvalue().strip("\n").splitlines()]
    return "\n".join([*lines, ", ".join(f"{count} {name}" for name, count in counts.items())])
