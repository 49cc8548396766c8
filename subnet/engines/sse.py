"""Server-sent events, as the WHATWG standard parses them, from bytes cut anywhere.

Only the data of events comes out: names, ids and retry times mean nothing to a reader that never
connects again. An event that the end of the stream cut off is dropped, as the standard says.
"""

from __future__ import annotations

import codecs


class EventStream:
    """Feed it bytes; it returns the data of every event that is complete.

    Raises ValueError for bytes that are no UTF-8, and for an event of more than `limit` characters.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._line: list[str] = []
        self._data: list[str] = []
        self._size = 0
        self._begun = False
        self._after_return = False

    def feed(self, chunk: bytes) -> list[str]:
        """Return the data of the events that `chunk` completes, in order."""
        text = self._decoder.decode(chunk)
        if text and not self._begun:
            self._begun = True
            text = text.removeprefix("\ufeff")
        if text and self._after_return:
            # The line ended with the last chunk, perhaps in the middle of CR LF.
            text = text.removeprefix("\n")
            self._after_return = False
        self._after_return = self._after_return or text.endswith("\r")
        *whole, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        events = []
        for part in whole:
            self._hold(part)
            event = self._end_line("".join(self._line))
            self._line = []
            if event is not None:
                events.append(event)
        self._hold(rest)
        return events

    def _hold(self, part: str) -> None:
        self._size += len(part)
        if self._size > self._limit:
            raise ValueError(f"an event has more than {self._limit} characters")
        if part:
            self._line.append(part)

    def _end_line(self, line: str) -> str | None:
        """Take a line in; a blank one ends an event, which is returned if it has data."""
        if not line:
            event = "\n".join(self._data) if self._data else None
            self._data, self._size = [], 0
            return event
        field, _, value = line.partition(":")
        if field == "data":
            self._data.append(value.removeprefix(" "))
        else:
            self._size -= len(line)  # a comment: a server may send them for hours
        return None
