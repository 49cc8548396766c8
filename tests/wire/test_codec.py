"""Messages over JSON: what a stranger is told about a wrong one."""

from __future__ import annotations

import pytest

from subnet.protocol import Challenge
from subnet.wire import codec
from subnet.wire.errors import MalformedMessage


class Ask(Challenge):
    prompt: str
    count: int = 1
    nested: tuple[int, ...] = ()


def test_a_message_survives_the_wire() -> None:
    ask = Ask(prompt="žluť 🐎 \n", count=3, nested=(1, 2))
    assert codec.decode(Ask, codec.encode(ask)) == ask


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "body: Invalid JSON"),
        (b"\xff\xfe", "body: Invalid JSON"),
        (b"[]", "body: Input should be an object"),
        (b"{}", "prompt: Field required"),
        (b'{"prompt":"x","count":"many"}', "count: Input should be a valid integer"),
        (b'{"prompt":"x","nested":[1,"y"]}', "nested.1: Input should be a valid integer"),
        (b'{"prompt":"x","extra":1}', "extra: Extra inputs are not permitted"),
        (b"[" * 100_000, "body: Invalid JSON"),
    ],
)
def test_a_wrong_message_names_the_field(body: bytes, words: str) -> None:
    with pytest.raises(MalformedMessage, match=words.replace("[", r"\[")):
        codec.decode(Ask, body)


def test_the_one_who_hopes_for_an_echo_gets_neither_values_nor_pages() -> None:
    many = ",".join(f'"{"k" * 500}\\u001b[31m{index}":"secret"' for index in range(50))
    with pytest.raises(MalformedMessage) as caught:
        codec.decode(Ask, b'{"prompt":"x",' + many.encode() + b"}")
    text = str(caught.value)
    assert "secret" not in text
    assert "\x1b" not in text
    assert len(caught.value.problems) == 9
    assert len(text) < 2000
