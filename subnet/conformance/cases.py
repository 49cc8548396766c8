"""The cases: what is sent, what must happen, and why it matters. Data and pure judgements.

Most judge a refusal. A refusal proves something only where the honest request passes, so the suite
runs `good` first; and only before authentication, so an answer that the miner signed after it
counts as having been let in.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from subnet.conformance.exchange import Ending, Heard, Shot
from subnet.conformance.subject import (
    Subject,
    replaced,
    spaced,
    stranger,
    with_unicode,
    without,
)
from subnet.wire import auth, codec
from subnet.wire.errors import AnswerRefused, AnswerUnsigned
from subnet.wire.stream import CONTENT_TYPE, StreamReader

SECOND: Final = 1_000_000_000
PROMPT_S: Final = 5.0
"""A refusal that needs no work must be here by then."""
DRIP_S: Final = 0.25
_BUSY: Final = (429, 503)
PIECE: Final = bytes(65536).replace(b"\0", b" ")


class Verdict(enum.StrEnum):
    """What one case shows."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict and what happened."""

    verdict: Verdict
    happened: str


Shots = Callable[[Subject], Sequence[Shot]]
Judge = Callable[[Subject, Sequence[Heard]], Finding]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing a miner must do.

    `inapplicable` says why a subject cannot be asked this. With `baseline` the verdict means
    something only for a miner that takes an honest request; `slow` cases run beside each other.
    """

    name: str
    sent: str
    must: str
    why: str
    shots: Shots
    judge: Judge
    inapplicable: Callable[[Subject], str | None] = lambda subject: None
    baseline: bool = True
    slow: bool = False


# Judging one response


class Proof(enum.Enum):
    """Whether the miner signed a response, for the very request it answers."""

    SIGNED = enum.auto()
    UNSIGNED = enum.auto()
    FORGED = enum.auto()


def proof_of(subject: Subject, heard: Heard, *, nonce: int | None = None) -> tuple[Proof, str]:
    """What the signature of a response proves, and its problem."""
    try:
        auth.verify_answer(
            heard.headers,
            hotkey=subject.receiver,
            nonce=heard.shot.nonce if nonce is None else nonce,
            sender=heard.shot.sender,
            status=heard.status or 0,
            body=heard.body,
        )
    except AnswerUnsigned as error:
        return Proof.UNSIGNED, str(error)
    except AnswerRefused as error:
        return Proof.FORGED, str(error)
    return Proof.SIGNED, ""


def describe(heard: Heard) -> str:
    """A response in a few words, the miner's own among them, printable."""
    if heard.status is None:
        return f"it {heard.ended.value} ({heard.took_s:.1f} s)"
    code = ""
    try:
        document = json.loads(heard.body)
        error = document.get("error", document.get("detail", ""))
        code = error.get("code", "") if isinstance(error, dict) else error
    except (ValueError, AttributeError, RecursionError):
        pass
    return codec.sanitize(f"{heard.status} {code if isinstance(code, str) else ''}".strip())


def taken(subject: Subject, heard: Heard) -> Finding:
    """An honest request: answered, or at least let in and then refused in a signed answer."""
    said = describe(heard)
    if heard.status == 200:
        return Finding(Verdict.PASSED, said)
    if heard.status in (401, 403) or heard.status is None:
        return Finding(Verdict.FAILED, said)
    if proof_of(subject, heard)[0] is Proof.SIGNED and heard.status < 500:
        return Finding(Verdict.PASSED, f"let in, then {said}")
    if heard.status in _BUSY:
        return Finding(Verdict.INCONCLUSIVE, f"{said}: too busy to tell")
    if heard.status >= 500:
        return Finding(Verdict.FAILED, said)
    return Finding(Verdict.INCONCLUSIVE, f"{said}: give a --path and a --body that it answers")


def refused(subject: Subject, heard: Heard) -> Finding:
    """A request to be refused, in HTTP, before or at authentication."""
    said = describe(heard)
    status = heard.status
    if status is None:
        closed = heard.ended is Ending.CLOSED
        verdict = Verdict.INCONCLUSIVE if closed else Verdict.FAILED
        return Finding(verdict, said)
    if status < 400:
        return Finding(Verdict.FAILED, f"{said}: let in")
    if status in _BUSY:
        return Finding(Verdict.INCONCLUSIVE, f"{said}: too busy to tell")
    if status >= 500:
        return Finding(Verdict.FAILED, f"{said}: it failed instead of refusing")
    if status not in (401, 403, 409) and proof_of(subject, heard)[0] is Proof.SIGNED:
        return Finding(Verdict.FAILED, f"let in, then {said}")
    return Finding(Verdict.PASSED, said)


def cut(subject: Subject, heard: Heard) -> Finding:
    """A request that never ends, or costs too much: refused or hung up on, in time."""
    said = describe(heard)
    if heard.ended is Ending.CLOSED:
        return Finding(Verdict.PASSED, said)
    if heard.status is None:
        return Finding(Verdict.FAILED, said)
    if heard.status in _BUSY:
        return Finding(Verdict.INCONCLUSIVE, f"{said}: too busy to tell")
    if heard.status < 400 or heard.status >= 500:
        return Finding(Verdict.FAILED, f"{said}: it read it to its end")
    if proof_of(subject, heard)[0] is Proof.SIGNED:
        return Finding(Verdict.FAILED, f"let in, then {said}")
    return Finding(Verdict.PASSED, f"{said} ({heard.took_s:.1f} s)")


def uneaten(subject: Subject, heard: Heard) -> Finding:
    """More than a miner may take: one that got as far as the signature has taken it."""
    if heard.status in (401, 403):
        return Finding(Verdict.FAILED, f"{describe(heard)}: it read it to its end")
    return cut(subject, heard)


def unread(subject: Subject, heard: Heard) -> Finding:
    """A body declared too large: what is declared is enough, and nothing of it is waited for."""
    if heard.status == 408:
        return Finding(Verdict.FAILED, f"{describe(heard)}: it waited for the body")
    return uneaten(subject, heard)


def unframed(subject: Subject, heard: Heard) -> Finding:
    """Two framings: refused as no HTTP, whatever one of the two would have meant."""
    if heard.status in (401, 403):
        return Finding(Verdict.FAILED, f"{describe(heard)}: it chose one length and went on")
    return cut(subject, heard)


def worst(findings: Sequence[tuple[str, Finding]]) -> Finding:
    """The gravest of several findings; where they differ, each with its name."""
    order = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED)
    gravest = next(v for v in order if any(finding.verdict is v for _, finding in findings))
    shown = [(name, finding) for name, finding in findings if finding.verdict is gravest]
    said = {finding.happened for _, finding in shown}
    if len(said) == 1 and len(shown) == len(findings):
        return Finding(gravest, said.pop())
    return Finding(gravest, "; ".join(f"{name}: {finding.happened}" for name, finding in shown))


def each(judge: Callable[[Subject, Heard], Finding], *names: str) -> Judge:
    """Every response by `judge`; `names` are those of the shots, in their order."""

    def judged(subject: Subject, heard: Sequence[Heard]) -> Finding:
        if not names:
            return worst([("", judge(subject, one)) for one in heard])
        return worst([(name, judge(subject, one)) for name, one in zip(names, heard, strict=True)])

    return judged


# Requests


def _good(subject: Subject) -> Sequence[Shot]:
    return [subject.shot(subject.signed())]


def _overtaken(subject: Subject) -> Sequence[Shot]:
    first, second = subject.nonces.next(), subject.nonces.next()
    return [subject.shot(subject.signed(nonce=nonce)) for nonce in (second, first)]


def _with_query(subject: Subject) -> Sequence[Shot]:
    target = subject.path + "?n=3&n=4&empty="
    return [subject.shot(subject.signed(target=target), target=target)]


def _percent_encoded(subject: Subject) -> Sequence[Shot]:
    targets = [subject.path + query for query in ("?m=a%20b+c%2F", "?m=%c3%a9", "?m=%C3%A9")]
    return [subject.shot(subject.signed(target=target), target=target) for target in targets]


def _unicode(subject: Subject) -> Sequence[Shot]:
    body = with_unicode(subject.body) or b""
    return [subject.shot(subject.signed(body), body)]


def _spaced(subject: Subject) -> Sequence[Shot]:
    body = spaced(subject.body) or b""
    return [subject.shot(subject.signed(body), body)]


def _ed25519(subject: Subject) -> Sequence[Shot]:
    return [subject.shot(subject.signed(key=subject.ed25519_key))]


def _not_signed(subject: Subject) -> Sequence[Shot]:
    return [subject.shot([])]


def _drifted(seconds: int) -> Shots:
    def shots(subject: Subject) -> Sequence[Shot]:
        return [subject.shot(subject.signed(nonce=subject.nonces.next() + seconds * SECOND))]

    return shots


def _replayed(subject: Subject) -> Sequence[Shot]:
    shot = subject.shot(subject.signed())
    return [shot, shot]


def _judge_replay(subject: Subject, heard: Sequence[Heard]) -> Finding:
    first, second = heard
    if taken(subject, first).verdict is not Verdict.PASSED:
        return Finding(Verdict.INCONCLUSIVE, f"refused the first time: {describe(first)}")
    return refused(subject, second)


def _wrong_receiver(subject: Subject) -> Sequence[Shot]:
    lines = replaced(subject.signed(), auth.RECEIVER, stranger().ss58_address)
    return [subject.shot(subject.signed_over(subject.payload(lines), lines))]


def _no_receiver(subject: Subject) -> Sequence[Shot]:
    lines = without(subject.signed(), auth.RECEIVER)
    return [subject.shot(subject.signed_over(subject.payload(lines), lines))]


def _tampered_body(subject: Subject) -> Sequence[Shot]:
    bodies = [subject.body + b" ", b" " + subject.body]
    return [subject.shot(subject.signed(), body) for body in bodies]


def _tampered_target(signed: Callable[[str], str], sent: Callable[[str], str]) -> Shots:
    def shots(subject: Subject) -> Sequence[Shot]:
        lines = subject.signed(target=signed(subject.path))
        return [subject.shot(lines, target=sent(subject.path))]

    return shots


def _percent_encode_one(path: str) -> str:
    """The same path to whoever decodes it: its last letter percent-encoded."""
    at = max(index for index, char in enumerate(path) if char.isalnum())
    return f"{path[:at]}%{ord(path[at]):02X}{path[at + 1 :]}"


def _tampered_method(subject: Subject) -> Sequence[Shot]:
    return [subject.shot(subject.signed(method="PUT"))]


_DOUBLED = (auth.VERSION, auth.HOTKEY, auth.RECEIVER, auth.NONCE, auth.SIGNATURE)
_DOUBLED_NAMES = tuple(
    f"{name.removeprefix('X-Bittensor-')} {order}"
    for name in _DOUBLED
    for order in ("(wrong one last)", "(wrong one first)")
)


def _doubled(subject: Subject) -> Sequence[Shot]:
    other = stranger()
    wrong = {
        auth.VERSION: "2",
        auth.HOTKEY: other.ss58_address,
        auth.RECEIVER: other.ss58_address,
        auth.NONCE: "1",
        auth.SIGNATURE: "0x" + "00" * 64,
    }
    shots = []
    for name in _DOUBLED:
        shots.append(subject.shot([*subject.signed(), (name, wrong[name])]))
        shots.append(subject.shot([(name, wrong[name]), *subject.signed()]))
    return shots


def _wrapped(subject: Subject) -> Sequence[Shot]:
    lines = subject.signed()
    text = b"<Bytes>" + subject.payload(lines) + b"</Bytes>"
    return [subject.shot(subject.signed_over(text, lines))]


def _other_scheme(subject: Subject) -> Sequence[Shot]:
    lines = subject.signed()
    declared = auth.SR25519 if auth.CRYPTO in dict(lines) else auth.ED25519
    lines = [*without(lines, auth.CRYPTO), (auth.CRYPTO, declared)]
    return [subject.shot(subject.signed_over(subject.payload(lines, scheme=declared), lines))]


_BAD_LENGTHS: dict[str, tuple[str, Callable[[str], str]]] = {
    "signature of 63 bytes": (auth.SIGNATURE, lambda value: value[:-2]),
    "signature of 65 bytes": (auth.SIGNATURE, lambda value: value + "00"),
    "odd signature": (auth.SIGNATURE, lambda value: value[:-1]),
    "empty signature": (auth.SIGNATURE, lambda value: ""),
    "hotkey of 47 characters": (auth.HOTKEY, lambda value: value[:-1]),
    "hotkey of 49 characters": (auth.HOTKEY, lambda value: value + "1"),
    "hotkey of 6000 characters": (auth.HOTKEY, lambda value: "5" * 6000),
    "nonce of 5000 digits": (auth.NONCE, lambda value: "1" * 5000),
}


def _bad_lengths(subject: Subject) -> Sequence[Shot]:
    shots = []
    for name, change in _BAD_LENGTHS.values():
        lines = subject.signed()
        shots.append(subject.shot(replaced(lines, name, change(dict(lines)[name]))))
    return shots


def _stranger(subject: Subject) -> Sequence[Shot]:
    return [subject.shot(subject.signed(key=stranger()))]


def _two_lengths(subject: Subject) -> Sequence[Shot]:
    # Signed for what each reader would make of it: whoever chooses, finds an honest request.
    length = len(subject.body)
    framings = [(length, length + 1), (length + 1, length)]
    return [
        subject.shot(
            subject.signed(),
            framing=[("Content-Length", str(one)) for one in pair],
            wait_s=PROMPT_S,
        )
        for pair in framings
    ]


def _both_framings(subject: Subject) -> Sequence[Shot]:
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(subject.body), subject.body)
    length = ("Content-Length", str(len(chunked)))
    coding = ("Transfer-Encoding", "chunked")
    return [
        subject.shot(subject.signed(), chunked, framing=framing, wait_s=PROMPT_S)
        for framing in ([length, coding], [coding, length])
    ]


def _large_head(subject: Subject) -> Sequence[Shot]:
    # One header of 128 KiB, and as much in small ones.
    one = [("X-Large", "a" * (128 << 10))]
    many = [(f"X-Large-{index}", "a" * 1000) for index in range(128)]
    return [subject.shot([*subject.signed(), *extra], wait_s=PROMPT_S) for extra in (one, many)]


def _declared_body(subject: Subject) -> Sequence[Shot]:
    framing = [("Content-Length", str(1 << 40))]
    return [subject.shot(subject.signed(), framing=framing, wait_s=PROMPT_S)]


def _large_body(subject: Subject) -> Sequence[Shot]:
    pieces = subject.oversize_bytes // len(PIECE)
    lines = subject.signed(subject.body + PIECE * pieces)
    head = subject.head([*lines, ("Transfer-Encoding", "chunked")])
    first = b"%x\r\n%b\r\n" % (len(subject.body), subject.body)
    piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)
    shot = subject.slow_shot(lines, [head + first, *[piece] * pieces, b"0\r\n\r\n"], 0.0)
    return [shot]


def _silent(subject: Subject) -> Sequence[Shot]:
    return [subject.slow_shot([], [b""], 0.0)]


def _slow_head(subject: Subject) -> Sequence[Shot]:
    lines = subject.signed()
    head = subject.head([*lines, ("X-Slow", "")])[:-4]
    drops = [b"a"] * (int(subject.patience_s / DRIP_S) + 8)
    return [subject.slow_shot(lines, [head, *drops], DRIP_S)]


def _slow_body(subject: Subject) -> Sequence[Shot]:
    drops = int(subject.patience_s / DRIP_S) + 8
    # Honest, to its last byte, for whoever waits for it.
    body = subject.body + b" " * drops
    lines = subject.signed(body)
    head = subject.head([*lines, ("Content-Length", str(len(body)))])
    return [subject.slow_shot(lines, [head + subject.body, *[b" "] * drops], DRIP_S)]


# Answers


def _judge_signed(subject: Subject, heard: Sequence[Heard]) -> Finding:
    proof, problem = proof_of(subject, heard[0])
    said = describe(heard[0])
    if proof is Proof.SIGNED:
        return Finding(Verdict.PASSED, f"{said}, signed")
    if heard[0].status in _BUSY:
        return Finding(Verdict.INCONCLUSIVE, f"{said}: too busy to tell")
    return Finding(Verdict.FAILED, f"{said}: {problem}")


def _two_questions(subject: Subject) -> Sequence[Shot]:
    return [subject.shot(subject.signed()) for _ in range(2)]


def _judge_binding(subject: Subject, heard: Sequence[Heard]) -> Finding:
    """Each answer proves itself for its own request, and neither for the other."""
    if any(proof_of(subject, one)[0] is Proof.UNSIGNED for one in heard):
        return Finding(Verdict.INCONCLUSIVE, "the answers are not signed")
    first, second = heard
    for one, other in ((first, second), (second, first)):
        if proof_of(subject, one, nonce=other.shot.nonce)[0] is Proof.SIGNED:
            return Finding(Verdict.FAILED, "an answer is signed for another request's nonce")
        proof, problem = proof_of(subject, one)
        if proof is not Proof.SIGNED:
            return Finding(Verdict.FAILED, f"{describe(one)}: {problem}")
    return Finding(Verdict.PASSED, "both signed, each for its own request")


_ORACLE_NAMES = ("not signed", "bad signature", "stale", "wrong receiver")


def _oracles(subject: Subject) -> Sequence[Shot]:
    lines = subject.signed()
    forged = replaced(lines, auth.SIGNATURE, "0x" + "01" * 64)
    return [
        *_not_signed(subject),
        subject.shot(forged),
        *_drifted(-3600)(subject),
        *_wrong_receiver(subject),
    ]


def _judge_oracle(subject: Subject, heard: Heard) -> Finding:
    if heard.status is None:
        return Finding(Verdict.INCONCLUSIVE, describe(heard))
    if proof_of(subject, heard)[0] is Proof.UNSIGNED:
        return Finding(Verdict.PASSED, "not signed")
    return Finding(Verdict.FAILED, f"{describe(heard)}, with a signature")


def _stream(subject: Subject) -> Sequence[Shot]:
    path = subject.stream_path or ""
    lines = subject.signed(subject.stream_body, target=path)
    return [subject.shot(lines, subject.stream_body, target=path)]


def _judge_stream(subject: Subject, heard: Sequence[Heard]) -> Finding:
    one = heard[0]
    if one.status is None:
        return Finding(Verdict.FAILED, describe(one))
    if one.status != 200:
        return Finding(Verdict.INCONCLUSIVE, describe(one))
    if _content_type(one) != CONTENT_TYPE:
        return Finding(Verdict.FAILED, f"{describe(one)}: it is no {CONTENT_TYPE}")
    reader = StreamReader()
    try:
        for chunk in reader.feed(one.body):
            json.loads(chunk)
        reader.check_end(
            one.headers, hotkey=subject.receiver, nonce=one.shot.nonce, sender=one.shot.sender
        )
    except AnswerRefused as error:
        return Finding(Verdict.FAILED, str(error))
    except (ValueError, RecursionError):
        return Finding(Verdict.FAILED, "a chunk is no JSON")
    return Finding(Verdict.PASSED, f"{reader.count} chunks, signed to the end")


def _content_type(heard: Heard) -> str:
    values = [value for name, value in heard.headers if name.lower() == "content-type"]
    return values[0].partition(";")[0].strip().lower() if values else ""


def _no_text(subject: Subject) -> str | None:
    if with_unicode(subject.body) is None:
        return "the question holds no text"
    return None


def _no_object(subject: Subject) -> str | None:
    return "the question is no JSON object" if spaced(subject.body) is None else None


def _no_ed25519(subject: Subject) -> str | None:
    if subject.ed25519_key is None:
        return "no ed25519 key that this miner serves was given (--ed25519-uri)"
    return None


def _bare_path(subject: Subject) -> str | None:
    return None if any(char.isalnum() for char in subject.path) else "the path has no letter"


def _no_stream(subject: Subject) -> str | None:
    return "no path that streams was given (--stream-path)" if subject.stream_path is None else None


LET_IN: Final = "is answered"
REFUSE: Final = "is refused (4xx)"
HANG_UP: Final = "is refused or hung up on in time"

CASES: Final = (
    Case(
        "good",
        "an honest request",
        LET_IN,
        "without it nothing else here means anything",
        _good,
        each(taken),
        baseline=False,
    ),
    Case(
        "overtaken",
        "two honest requests, the later nonce first",
        "are both answered",
        "concurrent requests overtake each other; nonces that must grow lose every second one",
        _overtaken,
        each(taken, "later nonce", "earlier nonce"),
    ),
    Case(
        "query",
        "an honest request with a query string",
        LET_IN,
        "the target is signed as it travels: path and query",
        _with_query,
        each(taken),
    ),
    Case(
        "percent_encoding",
        "honest requests with %20, %c3%a9 and %C3%A9 in the query",
        "are answered",
        "a target decoded or normalised before it is verified is another target",
        _percent_encoded,
        each(taken, "%20", "%c3%a9", "%C3%A9"),
    ),
    Case(
        "unicode",
        "an honest request with more than ASCII in its body",
        LET_IN,
        "the hash is over raw bytes, not over a text in some encoding",
        _unicode,
        each(taken),
        inapplicable=_no_text,
    ),
    Case(
        "spaced",
        "an honest request whose JSON has unusual spaces",
        LET_IN,
        "a body parsed and written anew before it is hashed is another body",
        _spaced,
        each(taken),
        inapplicable=_no_object,
    ),
    Case(
        "ed25519",
        "an honest request by an ed25519 key",
        LET_IN,
        "btauth/1 has two schemes; a caller may use either",
        _ed25519,
        each(taken),
        inapplicable=_no_ed25519,
    ),
    Case(
        "not_signed",
        "a request without any signature header",
        REFUSE,
        "anybody could ask",
        _not_signed,
        each(refused),
    ),
    Case(
        "stranger",
        "an honest request by a key just made",
        REFUSE,
        "authenticated is not authorised: everybody can make keys",
        _stranger,
        each(refused),
    ),
    Case(
        "stale",
        "a nonce 30 s old",
        REFUSE,
        "what was recorded could be sent again once it is forgotten",
        _drifted(-30),
        each(refused),
    ),
    Case(
        "future",
        "a nonce 30 s ahead",
        REFUSE,
        "what was recorded could be sent again much later",
        _drifted(30),
        each(refused),
    ),
    Case(
        "replayed",
        "the same request twice",
        "is answered the first time and refused the second",
        "whoever sees a request on its way could have it answered again, at the caller's cost",
        _replayed,
        _judge_replay,
    ),
    Case(
        "wrong_receiver",
        "an honest request for another miner",
        REFUSE,
        "a miner could pass a validator's request on and sell another miner's answer",
        _wrong_receiver,
        each(refused),
    ),
    Case(
        "no_receiver",
        "a request signed for nobody in particular",
        REFUSE,
        "it is good for every miner at once",
        _no_receiver,
        each(refused),
    ),
    Case(
        "tampered_body",
        "a body with one space more than was signed",
        REFUSE,
        "somebody on the way could change the question; hash raw bytes",
        _tampered_body,
        each(refused, "after", "before"),
    ),
    Case(
        "tampered_path",
        "a request signed for another path",
        REFUSE,
        "a request for one thing could be sent to another",
        _tampered_target(lambda path: path + "-other", str),
        each(refused),
    ),
    Case(
        "tampered_query",
        "a query that was not signed",
        REFUSE,
        "parameters are part of the question",
        _tampered_target(lambda path: path + "?n=1", lambda path: path + "?n=2"),
        each(refused),
    ),
    Case(
        "decoded_path",
        "a percent-encoded path, signed as it decodes",
        REFUSE,
        "two spellings of one signature pass filters that know one of them",
        _tampered_target(str, _percent_encode_one),
        each(refused),
        inapplicable=_bare_path,
    ),
    Case(
        "tampered_method",
        "a POST signed as a PUT",
        REFUSE,
        "a request for one thing could be sent as another",
        _tampered_method,
        each(refused),
    ),
    Case(
        "duplicate_headers",
        "an honest request with one signature header twice, the other value wrong",
        REFUSE,
        "two readers on the way may each take another one of the two",
        _doubled,
        each(refused, *_DOUBLED_NAMES),
    ),
    Case(
        "wrapped_signature",
        "a signature over <Bytes>payload</Bytes>",
        REFUSE,
        "that is how browser wallets sign texts; signing a text must not send a request",
        _wrapped,
        each(refused),
    ),
    Case(
        "other_scheme",
        "a signature of one scheme declared as the other",
        REFUSE,
        "a verifier that tries both lets the sender choose what it means",
        _other_scheme,
        each(refused),
    ),
    Case(
        "bad_lengths",
        "signatures, hotkeys and nonces too short or too long",
        "are refused (4xx)",
        "base58 is quadratic in its length; and what cannot be parsed must not be a 500",
        _bad_lengths,
        each(refused, *_BAD_LENGTHS),
    ),
    Case(
        "two_lengths",
        "two Content-Length headers that differ",
        "is refused as no HTTP (400, or hung up on)",
        "two readers on the way would see two different requests",
        _two_lengths,
        each(unframed, "right one first", "right one last"),
        baseline=False,
    ),
    Case(
        "both_framings",
        "Content-Length and Transfer-Encoding together",
        "is refused as no HTTP (400, or hung up on)",
        "two readers on the way would see two different requests",
        _both_framings,
        each(unframed, "length first", "coding first"),
        baseline=False,
    ),
    Case(
        "large_head",
        "128 KiB of headers, in one and in many",
        HANG_UP,
        "memory of strangers, before they have signed anything",
        _large_head,
        each(uneaten, "one header", "many headers"),
        baseline=False,
    ),
    Case(
        "declared_body",
        "a Content-Length of one tebibyte, and little of it",
        f"{HANG_UP} ({PROMPT_S:g} s)",
        "what is declared is enough to refuse it",
        _declared_body,
        each(unread),
        baseline=False,
    ),
    Case(
        "large_body",
        "an honest request with a huge body of undeclared length",
        HANG_UP,
        "memory of whoever has a key",
        _large_body,
        each(uneaten),
        baseline=False,
        slow=True,
    ),
    Case(
        "silent",
        "a connection, and nothing",
        HANG_UP,
        "connections cost nothing to open and are few",
        _silent,
        each(cut),
        baseline=False,
        slow=True,
    ),
    Case(
        "slow_head",
        f"headers, one byte every {DRIP_S:g} s",
        HANG_UP,
        "a few thousand of these take every connection there is",
        _slow_head,
        each(cut),
        baseline=False,
        slow=True,
    ),
    Case(
        "slow_body",
        f"an honest request, its body one byte every {DRIP_S:g} s",
        HANG_UP,
        "and it outlives its nonce",
        _slow_body,
        each(cut),
        slow=True,
    ),
    Case(
        "signed_answer",
        "an honest request",
        "is answered with a valid twresp/1 signature",
        "else anybody on the way can answer for this miner",
        _good,
        _judge_signed,
    ),
    Case(
        "answer_binding",
        "the same question twice",
        "each answer is signed for its own request",
        "else an old answer, or one to another validator, passes for a new one",
        _two_questions,
        _judge_binding,
    ),
    Case(
        "unsigned_refusals",
        "requests that fail before authentication",
        "are refused without a signature",
        "else strangers choose what the miner's key signs",
        _oracles,
        each(_judge_oracle, *_ORACLE_NAMES),
        baseline=False,
    ),
    Case(
        "stream",
        "an honest request for a stream",
        "ends with a valid tw-end over every chunk",
        "a stream without an end may have been cut short by anybody",
        _stream,
        _judge_stream,
        inapplicable=_no_stream,
    ),
)
