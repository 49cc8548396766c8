"""Messages in every form: that they survive, and what a stranger is told about a wrong one."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from subnet.protocol import Challenge, Form
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


# Other forms than JSON


class Packed(Challenge):
    form = Form.MSGPACK
    name: str
    data: bytes = b""
    values: tuple[float, ...] = ()


class File(Challenge):
    form = Form.RAW
    content: bytes = Field(max_length=100)


@pytest.mark.parametrize(
    "message",
    [
        Packed(name="žluť", data=bytes(range(256)), values=(0.1, -1e300)),
        File(content=b"\x00\xff{"),
        File(content=b""),
    ],
)
def test_every_form_survives_the_wire(message: Packed | File) -> None:
    body = codec.encode(message)
    assert codec.decode(type(message), body) == message


def test_raw_bytes_travel_as_they_are() -> None:
    assert codec.encode(File(content=b"\x00\xff")) == b"\x00\xff"
    with pytest.raises(MalformedMessage, match="content: Data should have at most 100 bytes"):
        codec.decode(File, bytes(101))


def test_a_raw_message_is_its_bytes_and_nothing_else() -> None:
    for fields in ({"a": bytes, "b": bytes}, {"a": str}, {}):
        with pytest.raises(TypeError, match="one field, of type bytes"):
            type("Wrong", (Challenge,), {"__annotations__": fields, "form": Form.RAW})


NAME = msgpack.packb({"name": "x"})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "body: Invalid msgpack"),
        (b"\xc1", "body: Invalid msgpack"),
        (NAME + b"\xc0", "body: Invalid msgpack"),
        (NAME[:-1], "body: Invalid msgpack"),
        (b"\x91" * 100_000, "body: Invalid msgpack"),
        (b"\xdd\xff\xff\xff\xff", "body: Invalid msgpack"),
        (b"\x82\xa4name\xa1x\xa4name\xa1y", "body: Invalid msgpack"),
        (b"\x81\x90\xa1x", "body: Invalid msgpack"),
        (b"\x81\x01\xa1x", "body: Invalid msgpack"),
        (b"\x81\xc4\x04name\xa1x", "body: Invalid msgpack"),
        (b"\x81\xa4name\xa1\xff", "body: Invalid msgpack"),
        (b"\x81\xa4name\x81\x81\x01\x02\x03", "body: Invalid msgpack"),
        (msgpack.packb([1]), "body: Input should be a map"),
        (msgpack.packb({"name": 1}), "name: Input should be a valid string"),
        (msgpack.packb({"name": "x", "extra": 1}), "extra: Extra inputs are not permitted"),
        (
            msgpack.packb({"name": "x", "values": [float("nan")]}),
            "values.0: Input should be a finite number",
        ),
        (b"\x81\xa4name\xd6\xff\x00\x00\x00\x01", "name: Input should be a valid string"),
        (b'{"name":"x"}', "body: Invalid msgpack"),
    ],
)
def test_a_wrong_packed_message_names_the_field(body: bytes, words: str) -> None:
    with pytest.raises(MalformedMessage, match=words):
        codec.decode(Packed, body)


@given(st.binary(max_size=60))
def test_no_body_is_good_json_and_good_msgpack_at_once(body: bytes) -> None:
    read_as = []
    for kind in (Packed, Ask):
        with contextlib.suppress(MalformedMessage):
            read_as.append(codec.decode(kind, body))
    assert len(read_as) < 2
    # Whatever is a message in one of the two forms is none in the other.
    for message in (Packed(name="x", data=body), Ask(prompt=body.hex())):
        other = Ask if isinstance(message, Packed) else Packed
        with pytest.raises(MalformedMessage, match=r"body: (Invalid|Input should be)"):
            codec.decode(other, codec.encode(message))


@pytest.mark.parametrize(
    ("declared", "form", "taken"),
    [
        ("", Form.JSON, True),
        ("application/json", Form.JSON, True),
        ("Application/JSON; charset=utf-8", Form.JSON, True),
        ("application/octet-stream", Form.JSON, True),  # what many clients send untold
        ("application/msgpack", Form.JSON, False),
        ("application/json", Form.MSGPACK, False),
        ("application/json", Form.RAW, False),
        ("text/event-stream", Form.JSON, False),
    ],
)
def test_a_declared_type_can_only_be_refused(declared: str, form: Form, taken: bool) -> None:
    assert codec.is_of_form(declared, form) is taken
