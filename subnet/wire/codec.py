"""Messages to JSON bytes and back, with errors that name fields and never show values."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from subnet.wire.errors import MalformedMessage

M = TypeVar("M", bound=BaseModel)

_MAX_PROBLEMS = 8
_MAX_PROBLEM_LENGTH = 160


def encode(message: BaseModel) -> bytes:
    """UTF-8 JSON of a message. Raises ValueError for text that is not Unicode."""
    return message.model_dump_json().encode()


def decode(message_type: type[M], body: bytes) -> M:
    """The message in `body`. Raises MalformedMessage with one line a wrong field."""
    try:
        return message_type.model_validate_json(body)
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


def sanitize(text: str) -> str:
    """A stranger's text, fit for a log line or a terminal: printable ASCII, cut short."""
    cut = text[:_MAX_PROBLEM_LENGTH]
    return "".join(char if " " <= char <= "~" else "?" for char in cut)
