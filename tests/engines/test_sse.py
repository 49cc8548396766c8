"""Server-sent events, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subnet.engines.sse import EventStream


def events(*chunks: bytes, limit: int = 1000) -> list[str]:
    stream = EventStream(limit)
    return [event for chunk in chunks for event in stream.feed(chunk)]


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"data: a\n\ndata: b\n\n", ["a", "b"]),
        (b"data:a\r\n\r\ndata:  b\r\r", ["a", " b"]),
        (b"data: a\r\ndata: b\r\n\r\n", ["a\nb"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: a\ndata: b\ndata\n\n", ["a\nb\n"]),
        (b": a comment\n\nevent: x\nid: 3\nretry: 5\ndata: a\n: more\n\n", ["a"]),
        (b"event: nothing\n\n\n\n", []),
        (b'data: {"a": "b: c"}\n\n', ['{"a": "b: c"}']),
        (b"datax: a\n data: b\n\n", []),
        (b"data: cut off\n", []),
        (b"data: cut off", []),
        (b"data\n\n", [""]),
        ("data: é中🙂\u2028\x85\n\n".encode(), ["é中🙂\u2028\x85"]),
    ],
)
def test_events_are_those_of_the_standard(raw: bytes, data: list[str]) -> None:
    assert events(raw) == data
    assert events(*(bytes([byte]) for byte in raw)) == data


@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), min_size=1, max_size=3
        )
    ),
    st.sampled_from(["\n", "\r", "\r\n"]),
    st.data(),
)
def test_what_was_sent_arrives_however_it_is_cut(
    sent: list[list[str]], end: str, data: st.DataObject
) -> None:
    raw = "".join("".join(f"data: {line}{end}" for line in lines) + end for lines in sent).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    chunks = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert events(*chunks, limit=10**6) == ["\n".join(lines) for lines in sent]


def test_an_event_without_end_and_bytes_that_are_no_text_are_errors() -> None:
    stream = EventStream(1000)
    with pytest.raises(ValueError, match="more than 1000"):
        for _ in range(100):
            stream.feed(b"data: " + b"x" * 50 + b"\n")
    stream = EventStream(1000)
    with pytest.raises(ValueError, match="more than 1000"):
        for _ in range(100):
            stream.feed(b"x" * 50)
    with pytest.raises(ValueError, match="utf-8"):
        EventStream(1000).feed(b"data: \xff\n\n")
    # Comments keep a connection alive for as long as they like; they are not kept.
    assert events(*[b": still here\n"] * 500, b"data: a\n\n") == ["a"]
