"""Messages to bytes and back, with errors that name fields and never show values.

A message's class decides its form, JSON, msgpack or raw. Only the bytes are signed; a header that
says otherwise was not written by whom it claims, so it is at most a reason to refuse.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgpack
from pydantic import BaseModel, ValidationError

from subnet.protocol import Form, Message
from subnet.wire.errors import MalformedMessage

M = TypeVar("M", bound=Message)

_MAX_PROBLEMS = 8
_MAX_PROBLEM_LENGTH = 160

UNSAID: Final = frozenset({"", Form.RAW.value})
"""Content types that say nothing: many HTTP clients send one of them when not told any."""


def is_of_form(content_type: str, form: Form) -> bool:
    """Whether a body declared as `content_type` may be of this form."""
    media = content_type.partition(";")[0].strip().lower()
    return media == form or media in UNSAID


def encode(message: BaseModel) -> bytes:
    """The bytes of a message, in its form.

    Raises ValueError for text that is not Unicode, TypeError for what msgpack has no word for.
    """
    form = message.form if isinstance(message, Message) else Form.JSON
    if form is Form.JSON:
        return message.model_dump_json().encode()
    content = message.model_dump()
    if form is Form.RAW:
        return bytes(*content.values())
    packed: bytes = msgpack.packb(content)
    return packed


def decode(message_type: type[M], body: bytes) -> M:
    """The message in `body`. Raises MalformedMessage with one line a wrong field."""
    try:
        if message_type.form is Form.JSON:
            return message_type.model_validate_json(body)
        if message_type.form is Form.RAW:
            return message_type.model_validate(dict.fromkeys(message_type.model_fields, body))
        return message_type.model_validate(_unpack(body))
    except ValidationError as error:
        # Inputs and contexts stay out: they may hold what other code put there.
        details = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [
            sanitize(f"{'.'.join(map(str, detail['loc'])) or 'body'}: {detail['msg']}")
            for detail in details[:_MAX_PROBLEMS]
        ]
        if len(details) > _MAX_PROBLEMS:
            problems.append(f"and {len(details) - _MAX_PROBLEMS} more")
        raise MalformedMessage(tuple(problems)) from None


def _unpack(body: bytes) -> dict[str, Any]:
    """One map with text keys, none twice, and nothing after it: no two readings of one body."""
    try:
        content = msgpack.unpackb(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError):  # msgpack's errors are ValueErrors, all of them
        raise MalformedMessage(("body: Invalid msgpack",)) from None
    if not isinstance(content, dict):
        raise MalformedMessage(("body: Input should be a map",))
    return content


def _unique(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs) or not all(isinstance(key, str) for key in content):
        raise ValueError("a key twice, or one that is no text")
    return content


def sanitize(text: str) -> str:
    """A stranger's text, fit for a log line or a terminal: printable ASCII, cut short."""
    cut = text[:_MAX_PROBLEM_LENGTH]
    return "".join(char if " " <= char <= "~" else "?" for char in cut)
