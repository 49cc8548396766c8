"""What goes wrong on the wire.

    RequestRefused (subnet.errors)   what an axon answers instead of an answer
    └── AuthRefused                  who asks is not proven; always 401, never signed
        ├── MalformedAuth            a header is missing, doubled or misshapen
        ├── WrongReceiver            meant for another miner, or for nobody
        ├── StaleRequest             outside the time window: compare the two clocks
        ├── BadSignature             not signed by the key it names
        └── ReplayedRequest          seen before: sign afresh
    AnswerRefused                    an answer that proves nothing: worth nothing
    ├── AnswerUnsigned
    ├── AnswerForged
    └── StreamBroken                 a stream without the end that vouches for it
    MalformedMessage                 a body that is not the message it should be
    NotHttp                          an answer that is none of HTTP

Every text here may be shown to a stranger: none repeats a signature, a payload or a value of ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from subnet.errors import RequestRefused, SubnetError


class AuthRefused(RequestRefused):
    """A request that does not prove who sent it."""


class MalformedAuth(AuthRefused):
    """The header `header` is missing, doubled or misshapen; `problem` says which."""

    def __init__(self, header: str, problem: str) -> None:
        super().__init__(401, "malformed_auth", f"{header}: {problem}")
        self.header = header
        self.problem = problem


class WrongReceiver(AuthRefused):
    """The request is bound to another hotkey, or to none."""

    def __init__(self) -> None:
        super().__init__(401, "wrong_receiver", "the request is not signed for this receiver")


class StaleRequest(AuthRefused):
    """The nonce `nonce_ns` is outside the window around the server's clock `now_ns`.

    Both are Unix nanoseconds; the difference tells an honest caller that its clock drifts.
    """

    def __init__(self, nonce_ns: int, now_ns: int) -> None:
        where = "in the future" if nonce_ns > now_ns else "too old"
        super().__init__(401, "stale", f"the nonce is {where} by the server's clock")
        self.nonce_ns = nonce_ns
        self.now_ns = now_ns


class BadSignature(AuthRefused):
    """The signature is not one of the named hotkey over this very request."""

    def __init__(self) -> None:
        super().__init__(401, "bad_signature", "the signature does not match the request")


class ReplayedRequest(AuthRefused):
    """This nonce was accepted before, or is older than what the server remembers."""

    def __init__(self) -> None:
        super().__init__(401, "replayed", "the nonce was used before or predates this server")


class AnswerRefused(SubnetError):
    """An answer that does not prove that the miner asked gave it to this question."""


class AnswerUnsigned(AnswerRefused):
    """No signature headers at all."""

    def __str__(self) -> str:
        return "the answer is not signed"


@dataclass(eq=False)
class AnswerForged(AnswerRefused):
    """Signature headers that do not hold; `problem` says why."""

    problem: str

    def __str__(self) -> str:
        return self.problem


@dataclass(eq=False)
class StreamBroken(AnswerRefused):
    """A stream whose chunks nobody vouches for; `problem` says what is wrong with its end."""

    problem: str

    def __str__(self) -> str:
        return self.problem


@dataclass(eq=False)
class MalformedMessage(SubnetError):
    """A body that is not the message expected; `problems` name the fields, never their values."""

    problems: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.problems)


@dataclass(eq=False)
class NotHttp(SubnetError):
    """What came back is no HTTP answer; `problem` says why, in the parser's words."""

    problem: str

    def __str__(self) -> str:
        return f"not an HTTP answer: {self.problem}"
