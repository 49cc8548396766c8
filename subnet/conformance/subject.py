"""Whom the suite asks, and the requests it makes: honest ones, and ones wrong in one thing."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from bittensor_core import Keypair

from subnet.conformance.exchange import Endpoint, Shot
from subnet.wire import auth
from subnet.wire.nonce import NonceSource

Lines = list[tuple[str, str]]


@dataclass(frozen=True)
class Subject:
    """A miner, and what is needed to ask it something it answers.

    `path` is as it travels, without a query; `body` is a question the miner takes; `key` and
    `ed25519_key` are hotkeys it serves. Slow requests are dripped for `patience_s` at most, and a
    body of `oversize_bytes` is more than it may take.
    """

    endpoint: Endpoint
    receiver: str
    path: str
    body: bytes
    key: auth.Signer
    content_type: str = "application/json"
    ed25519_key: auth.Signer | None = None
    stream_path: str | None = None
    stream_body: bytes = b""
    patience_s: float = 30.0
    oversize_bytes: int = 32 << 20
    wait_s: float = 60.0
    nonces: NonceSource = field(default_factory=NonceSource)

    def signed(
        self,
        body: bytes | None = None,
        *,
        target: str | None = None,
        method: str = "POST",
        key: auth.Signer | None = None,
        nonce: int | None = None,
    ) -> Lines:
        """The header lines of an honest request for this miner."""
        headers = auth.sign_request(
            key or self.key,
            method=method,
            target=target or self.path,
            body=self.body if body is None else body,
            receiver=self.receiver,
            nonce=self.nonces.next() if nonce is None else nonce,
        )
        return list(headers.items())

    def signed_over(self, text: bytes, lines: Lines) -> Lines:
        """`lines` with our key's signature over `text` in place of theirs."""
        return replaced(lines, auth.SIGNATURE, "0x" + self.key.sign(text).hex())

    def payload(self, lines: Lines, *, scheme: str | None = None) -> bytes:
        """What the signature of `lines` is over, for our body and path."""
        values = dict(lines)
        return auth.request_payload(
            scheme=scheme or values.get(auth.CRYPTO, auth.SR25519),
            method="POST",
            target=self.path,
            body=self.body,
            nonce=int(values[auth.NONCE]),
            sender=values[auth.HOTKEY],
            receiver=values.get(auth.RECEIVER),
        )

    def shot(
        self,
        lines: Lines,
        body: bytes | None = None,
        *,
        target: str | None = None,
        method: str = "POST",
        framing: Iterable[tuple[str, str]] | None = None,
        wait_s: float | None = None,
    ) -> Shot:
        """One request in one write: `lines` as given, and the body in one length."""
        body = self.body if body is None else body
        framing = [("Content-Length", str(len(body)))] if framing is None else framing
        head = self.head([*lines, *framing], target=target, method=method)
        return self._shot(lines, [head + body], wait_s=wait_s)

    def slow_shot(self, lines: Lines, parts: list[bytes], pause_s: float) -> Shot:
        """A request in `parts`, dripped, for as long as our patience lasts."""
        return self._shot(lines, parts, pause_s=pause_s, wait_s=self.patience_s)

    def head(
        self, lines: Iterable[tuple[str, str]], *, target: str | None = None, method: str = "POST"
    ) -> bytes:
        """A request's head with `lines` in their order, as they are."""
        host = self.endpoint.host
        host = f"[{host}]" if ":" in host else host
        fixed = [("Host", f"{host}:{self.endpoint.port}"), ("Connection", "close")]
        fixed += [("Content-Type", self.content_type)]
        text = f"{method} {target or self.path} HTTP/1.1\r\n"
        text += "".join(f"{name}: {value}\r\n" for name, value in [*fixed, *lines])
        return text.encode() + b"\r\n"

    def _shot(
        self, lines: Lines, parts: list[bytes], *, pause_s: float = 0.0, wait_s: float | None = None
    ) -> Shot:
        values = dict(lines)
        nonce = values.get(auth.NONCE, "")
        return Shot(
            parts,
            nonce=int(nonce) if nonce.isascii() and nonce.isdigit() and len(nonce) < 25 else 0,
            sender=values.get(auth.HOTKEY, ""),
            pause_s=pause_s,
            wait_s=self.wait_s if wait_s is None else wait_s,
        )


def stranger() -> Keypair:
    """A key that nobody knows."""
    return Keypair.create_from_seed(secrets.token_bytes(32))


def replaced(lines: Lines, name: str, value: str) -> Lines:
    """`lines` with another value for `name`."""
    return [(line, value if line == name else old) for line, old in lines]


def without(lines: Lines, name: str) -> Lines:
    """`lines` without `name`."""
    return [pair for pair in lines if pair[0] != name]


def spaced(body: bytes) -> bytes | None:
    """The same JSON with spaces where no program writes them; None for what is no JSON object."""
    document = _object(body)
    if document is None:
        return None
    text = json.dumps(document, separators=(" ,\n ", " :\t"), ensure_ascii=False)
    return text.encode() + b"\n"


def with_unicode(body: bytes) -> bytes | None:
    """The same JSON with more than ASCII in one of its texts; None where there is no text.

    A text of words is taken before one that may have to keep a form.
    """
    document = _object(body)
    if document is None:
        return None
    changed = dict(document)
    texts = {key: value for key, value in changed.items() if isinstance(value, str)}
    if not texts:
        return None
    words = {key: value for key, value in texts.items() if " " in value} or texts
    chosen = max(words, key=lambda key: len(words[key]))
    changed[chosen] = texts[chosen] + " é\u2603\U0001f600"
    return json.dumps(changed, ensure_ascii=False).encode()


def _object(body: bytes) -> dict[str, object] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
