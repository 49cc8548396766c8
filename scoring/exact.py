"""Checkable answers: text, number, set and JSON, each right or not, and why.

Answers are hostile: whatever comes, a `Mark` goes out, in time that grows no faster than the
answer (times a logarithm), and what is longer than `LONGEST` is not looked at. References are the
author's own: one that is not of its form raises ValueError. Nothing is searched for in prose: "It
is 42." is no number. Whoever wants that asks for a form, or cuts the answer out first.
"""

from __future__ import annotations

import enum
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, groupby
from typing import Any, NoReturn

LONGEST = 65_536
"""Characters of an answer that is looked at."""
LONGEST_NUMBER = 512
"""Characters of one number."""
LARGEST_EXPONENT = 400
"""Of ten, as written, to either side. 1e999999999 is eleven characters, and would be half a GB."""
DEEPEST = 64
"""Arrays and objects within each other."""
LONGEST_RUN = 30
"""Marks on one letter, as in the Stream-Safe Text Format of UAX #15: putting them in their order
takes time with the square of the run."""

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d+))?", re.ASCII)
# A string even where its end is missing, or every quote of such text would be tried as a beginning.
_JSON_NESTING = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_TYPES: Mapping[str, type] = {
    "null": type(None),
    "boolean": bool,
    "string": str,
    "array": list,
    "object": dict,
    "number": Fraction,
    "integer": Fraction,  # and whole
}


class Reason(enum.StrEnum):
    """Why a mark is what it is; stable, for journals."""

    MATCH = "match"
    PARTIAL = "partial"
    DIFFERENT = "different"
    EMPTY = "empty"
    NOT_TEXT = "not-text"
    """No string, or one with half a character in it (a lone surrogate)."""
    TOO_LONG = "too-long"
    TOO_MANY_MARKS = "too-many-marks"
    NOT_A_NUMBER = "not-a-number"
    OUT_OF_RANGE = "out-of-range"
    """A number with an exponent beyond `LARGEST_EXPONENT`."""
    NOT_JSON = "not-json"
    """By RFC 8259; NaN and a name given twice are not either."""
    TOO_DEEP = "too-deep"


@dataclass(frozen=True, slots=True)
class Mark:
    """A score in 0..1; 1 exactly when `reason` is MATCH. `detail` is at most one short line."""

    score: float
    reason: Reason
    detail: str = ""


MATCH = Mark(1.0, Reason.MATCH)


class Unreadable(ValueError):
    """Text that is not of the form asked for, and in which way."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def same_text(answer: str, reference: str, *, case: bool = False) -> Mark:
    """Return 1 if both are the same text but for whitespace, canonical forms and (not `case`) case.

    Punctuation counts. "10²" is not "102": compatibility forms are not folded.
    """
    expected = fold(reference, case=case)
    try:
        return MATCH if fold(answer, case=case) == expected else Mark(0.0, Reason.DIFFERENT)
    except Unreadable as unreadable:
        return Mark(0.0, unreadable.reason)


def same_number(
    answer: str, reference: int | float, *, absolute: float = 0.0, relative: float = 0.0
) -> Mark:
    """Return 1 if a decimal number is within `absolute`, or `relative` × |reference|, of another.

    Compared exactly, not as floats; a float stands for the shortest decimal that is it, so "0.1"
    is 0.1 at no tolerance. The bound itself is within. No units, no "1,000", no "1/3".
    """
    expected = _exactly(reference)
    slack = _slack(absolute, relative)
    try:
        found = _number(_readable(answer).strip())
    except Unreadable as unreadable:
        return Mark(0.0, unreadable.reason)
    return MATCH if _near(found, expected, slack) else Mark(0.0, Reason.DIFFERENT)


def same_set(
    answer: str, reference: Collection[str], *, separator: str = ",", case: bool = False
) -> Mark:
    """Return how many members both have, of those that either has; members compare as texts do.

    The order, a member given twice and one that is nothing do not count. To name every possible
    member is worth the share of them that is right: pay PARTIAL for nothing where they are few.
    """
    expected = {fold(member, case=case) for member in reference}
    if not expected or not separator or any(separator in member for member in reference):
        raise ValueError("a reference has one member or more, and none has the separator in it")
    try:
        members = _readable(answer).split(separator)
        found = {fold(member, case=case) for member in members if member.strip()}
    except Unreadable as unreadable:
        return Mark(0.0, unreadable.reason)
    if found == expected:
        return MATCH
    both = len(found & expected)
    if not both:
        return Mark(0.0, Reason.DIFFERENT)
    either = len(found | expected)
    return Mark(both / either, Reason.PARTIAL, f"{both} of {either}")


def same_json(
    answer: str, reference: object, *, absolute: float = 0.0, relative: float = 0.0
) -> Mark:
    """Return 1 if a JSON text says what `reference` (dict, list, str, number, bool, None) does.

    The order of names does not count, that of items does. Numbers compare as in `same_number`, 1
    and 1.0 are the same, 1 and true are not. Strings are equal character by character.
    """
    expected = _parsed_reference(reference)
    slack = _slack(absolute, relative)
    try:
        found = _parse(answer)
    except Unreadable as unreadable:
        return Mark(0.0, unreadable.reason)
    where = _difference(found, expected, slack, "$")
    return Mark(0.0, Reason.DIFFERENT, f"at {where}") if where else MATCH


def fits_schema(answer: str, schema: Mapping[str, object]) -> Mark:
    """Return 1 if a JSON text is valid under `schema`, a subset of JSON Schema 2020-12.

    It knows type, enum, const, properties, required, additionalProperties (true or false), items
    (one schema for all), minItems, maxItems, minLength, maxLength, minimum, maximum, and passes
    over title and description. Raises ValueError for any other keyword anywhere, rather than not
    checking it. There is no pattern: a regular expression is a bomb, or not the one meant.
    """
    rules = _rules(schema)
    try:
        found = _parse(answer)
    except Unreadable as unreadable:
        return Mark(0.0, unreadable.reason)
    where = _misfit(found, rules, "$")
    return Mark(0.0, Reason.DIFFERENT, where) if where else MATCH


def fold(text: str, *, case: bool = False) -> str:
    """Return the form in which texts compare: whitespace single, canonical, and caseless.

    Caseless and canonical as in definition D145 of the Unicode Standard. Raises Unreadable.
    """
    text = _readable(text)
    if not text.isascii():
        # Each letter taken apart first: U+0F73 is no mark, and is made of two.
        parts = (part for letter in text for part in unicodedata.normalize("NFD", letter))
        for is_mark, run in groupby(parts, lambda part: unicodedata.combining(part) > 0):
            if is_mark and sum(1 for _ in run) > LONGEST_RUN:
                raise Unreadable(Reason.TOO_MANY_MARKS)
        text = unicodedata.normalize("NFD", text)
    if not case:
        text = unicodedata.normalize("NFD", text.casefold())
    return " ".join(text.split())


def _readable(text: str) -> str:
    if not isinstance(text, str):
        raise Unreadable(Reason.NOT_TEXT)
    if len(text) > LONGEST:
        raise Unreadable(Reason.TOO_LONG)
    if not text.strip():
        raise Unreadable(Reason.EMPTY)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unreadable(Reason.NOT_TEXT) from None
    return text


# Numbers


def _number(text: str) -> Fraction:
    if len(text) > LONGEST_NUMBER:
        raise Unreadable(Reason.TOO_LONG)
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise Unreadable(Reason.NOT_A_NUMBER)
    if abs(int(match[1] or 0)) > LARGEST_EXPONENT:
        raise Unreadable(Reason.OUT_OF_RANGE)
    return Fraction(text)


def _exactly(number: int | float) -> Fraction:
    if isinstance(number, int):
        return Fraction(number)
    return Fraction(repr(float(number)))  # raises ValueError for nan and inf


def _slack(absolute: float, relative: float) -> tuple[Fraction, Fraction]:
    slack = _exactly(absolute), _exactly(relative)
    if min(slack) < 0:
        raise ValueError(f"tolerances of {absolute} and {relative}")
    return slack


def _near(found: Fraction, expected: Fraction, slack: tuple[Fraction, Fraction]) -> bool:
    absolute, relative = slack
    return abs(found - expected) <= max(absolute, relative * abs(expected))


# JSON


def _parse(text: str) -> object:
    """The value of a JSON text, its numbers as Fractions. Raises Unreadable."""
    text = _readable(text)
    depth = 0
    for token in _JSON_NESTING.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > DEEPEST:
            raise Unreadable(Reason.TOO_DEEP)
    try:
        return json.loads(
            text,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_refuse,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError:
        raise Unreadable(Reason.NOT_JSON) from None


def _refuse(_constant: str) -> NoReturn:
    raise Unreadable(Reason.NOT_JSON)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable(Reason.NOT_JSON)
    return found


def _parsed_reference(reference: object) -> object:
    """Read back from its own text, so that a reference is held to what answers are."""
    try:
        return _parse(json.dumps(reference, allow_nan=False))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from error


def _difference(
    found: object, expected: object, slack: tuple[Fraction, Fraction], where: str
) -> str:
    """Where two parsed values first differ; "" if they do not. `where` is that of both."""
    if type(found) is not type(expected):
        return where
    if isinstance(found, Fraction) and isinstance(expected, Fraction):
        return "" if _near(found, expected, slack) else where
    pairs: Iterator[tuple[object, object, object]]
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = zip(count(), found, expected, strict=False)
    elif isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        pairs = ((name, found[name], expected[name]) for name in expected)
    else:
        return "" if found == expected else where
    inner = (_difference(ours, theirs, slack, _at(where, key)) for key, ours, theirs in pairs)
    return next(filter(None, inner), "")


_ZERO = (Fraction(0), Fraction(0))

_KEPT: Mapping[str, Callable[[Any, Any], bool]] = {
    "type": lambda found, names: any(_is_type(found, name) for name in names),
    "enum": lambda found, values: any(not _difference(found, v, _ZERO, "$") for v in values),
    "const": lambda found, value: not _difference(found, value, _ZERO, "$"),
    "required": lambda found, names: not isinstance(found, dict) or names <= found.keys(),
    "additionalProperties": lambda found, names: (
        names is None or not isinstance(found, dict) or found.keys() <= names
    ),
    "minItems": lambda found, least: not isinstance(found, list) or len(found) >= least,
    "maxItems": lambda found, most: not isinstance(found, list) or len(found) <= most,
    "minLength": lambda found, least: not isinstance(found, str) or len(found) >= least,
    "maxLength": lambda found, most: not isinstance(found, str) or len(found) <= most,
    "minimum": lambda found, least: not isinstance(found, Fraction) or found >= least,
    "maximum": lambda found, most: not isinstance(found, Fraction) or found <= most,
}
"""Whether a parsed value keeps one rule, not counting rules for what is within it."""


def _rules(schema: object) -> dict[str, Any]:
    """A schema with its values made ready for `_KEPT`. Raises ValueError for what is not known."""
    if not isinstance(schema, Mapping):
        raise ValueError(f"a schema is an object, not {schema!r}")
    rules: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in ("title", "description"):
            continue
        if keyword == "type":
            rules[keyword] = [value] if isinstance(value, str) else value
            known = isinstance(rules[keyword], list) and all(
                isinstance(name, str) and name in _TYPES for name in rules[keyword]
            )
        elif keyword == "enum":
            known = isinstance(value, list)
            rules[keyword] = [_parsed_reference(v) for v in value] if known else None
        elif keyword == "const":
            known, rules[keyword] = True, _parsed_reference(value)
        elif keyword == "properties":
            known = isinstance(value, Mapping)
            rules[keyword] = {name: _rules(part) for name, part in value.items()} if known else None
        elif keyword == "items":
            known, rules[keyword] = True, _rules(value)
        elif keyword == "required":
            known = isinstance(value, list) and all(isinstance(name, str) for name in value)
            rules[keyword] = frozenset(value) if known else None
        elif keyword == "additionalProperties":
            known = isinstance(value, bool)
            rules[keyword] = None if value else frozenset(schema.get("properties", ()))
        elif keyword in ("minimum", "maximum"):
            known = isinstance(value, int | float) and not isinstance(value, bool)
            rules[keyword] = _exactly(value) if known else None
        elif keyword in _KEPT:  # the lengths
            known, rules[keyword] = type(value) is int and value >= 0, value
        else:
            raise ValueError(f"keyword {keyword!r} is not checked here")
        if not known:
            raise ValueError(f"{keyword} is {value!r}")
    return rules


def _misfit(found: object, rules: Mapping[str, Any], where: str) -> str:
    """Where a parsed value first breaks a rule, and which; "" if it does not."""
    for keyword, asked in rules.items():
        if keyword in _KEPT and not _KEPT[keyword](found, asked):
            return f"{where}: {keyword}"
    parts: list[tuple[object, object, Mapping[str, Any]]] = []
    if isinstance(found, dict):
        inside = rules.get("properties", {})
        parts = [(name, found[name], inside[name]) for name in inside if name in found]
    elif isinstance(found, list) and "items" in rules:
        parts = [(index, item, rules["items"]) for index, item in enumerate(found)]
    inner = (_misfit(value, inside, _at(where, key)) for key, value, inside in parts)
    return next(filter(None, inner), "")


def _is_type(found: object, name: str) -> bool:
    if name == "integer" and isinstance(found, Fraction):
        return found.denominator == 1
    return type(found) is _TYPES[name]


def _at(where: str, key: object) -> str:
    """One step further in; of a long way only the beginning."""
    return where if len(where) > 80 else f"{where}[{key!r:.80}]"
