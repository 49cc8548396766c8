"""Checkable answers: what is right, what is wrong, and what hostile text comes to."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import exact
from scoring.exact import (
    MATCH,
    Mark,
    Reason,
    fits_schema,
    fold,
    same_json,
    same_number,
    same_set,
    same_text,
)

REFERENCE = {"name": "Ada", "tags": ["x", "y"], "year": 1815, "ratio": 0.1, "alive": False}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 4},
        "tags": {"type": "array", "items": {"enum": ["x", "y", 1]}, "minItems": 1, "maxItems": 3},
        "year": {"type": "integer", "minimum": 0, "maximum": 2026},
        "ratio": {"type": ["number", "null"]},
        "alive": {"const": False},
    },
    "required": ["name", "year"],
    "additionalProperties": False,
}
SCORERS: dict[str, Callable[[str], Mark]] = {
    "text": lambda answer: same_text(answer, "Paris"),
    "number": lambda answer: same_number(answer, 42, relative=0.01),
    "set": lambda answer: same_set(answer, ["red", "green"]),
    "json": lambda answer: same_json(answer, REFERENCE, absolute=0.1),
    "schema": lambda answer: fits_schema(answer, SCHEMA),
}

MARKS = "\u0315\u0316"  # of classes 232 and 220: each pair has to change places
POISON = {
    "nothing": "",
    "space": " \t\r\n\u3000",
    "100 MB": "a" * 100_000_000,
    "100 MB of digits": "9" * 100_000_000,
    "100 MB of brackets": "[" * 100_000_000,
    "huge number": "1e999999999",
    "tiny number": "1e-999999999",
    "huge exponent": "1e" + "9" * 60_000,
    "many digits": "9" * 60_000,
    "many zeros": "0." + "0" * 60_000 + "1",
    "NaN": "NaN",
    "infinity": "-Infinity",
    "hex": "0x2A",
    "other digits": "\u0664\u0662",
    "underscore": "4_2",
    "half a character": "\ud800",
    "half a character, escaped": '"\\ud800"',
    "deep arrays": "[" * 30_000 + "]" * 30_000,
    "deep objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "deep, never closed": "[" * 60_000,
    "deep in a string, then deep": '["' + "[" * 60_000,
    "quotes without an end": '"' + '\\"' * 30_000,
    "wide array": "[" + "1e400," * 9_000 + "1]",
    "wide object": "{" + ",".join(f'"{n}":1e-400' for n in range(4_000)) + "}",
    "a name twice": '{"name": "Ada", "name": "Eve", "year": 1}',
    "number in JSON": '{"year": 1e999999999}',
    "NaN in JSON": '{"year": NaN}',
    "comment": "{} // and more",
    "regex bomb": "a" * 30_000 + "!" + "(a+)+$" * 5_000,
    "comma flood": "," * 65_000,
    "member flood": ",".join(map(str, range(11_000))),
    "marks": "a" + MARKS * 30_000,
    "marks that are none": "\u0f73" * 60_000,
    "NUL": "\0" * 60_000,
    "right to left": "\u202e42\u202c",
}

hostile = pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS.keys())


def sound(mark: Mark) -> bool:
    return (
        0.0 <= mark.score <= 1.0
        and (mark.score == 1.0) == (mark.reason is Reason.MATCH)
        and (0.0 < mark.score < 1.0) == (mark.reason is Reason.PARTIAL)
        and len(mark.detail) < 300
    )


@hostile
@pytest.mark.parametrize("answer", POISON.values(), ids=POISON.keys())
def test_poison_gets_a_reason_and_no_score(scorer: Callable[[str], Mark], answer: str) -> None:
    mark = scorer(answer)
    assert sound(mark)
    assert mark.score == 0.0


@settings(max_examples=60)
@given(
    st.one_of(
        st.text(alphabet=st.characters(codec=None)),
        st.text(alphabet='{}[]",:\\0123456789.eE+- \u0301\ud800NaInfty'),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ).map(json.dumps),
    )
)
def test_any_text_at_all_gets_a_mark(answer: str) -> None:
    for scorer in SCORERS.values():
        assert sound(scorer(answer))


@hostile
def test_what_is_no_text_gets_a_mark_too(scorer: Callable[[Any], Mark]) -> None:
    for answer in (None, 42, b"Paris", ["Paris"], math.nan):
        assert scorer(answer) == Mark(0.0, Reason.NOT_TEXT)


@pytest.mark.parametrize(
    ("scorer", "answer", "reason"),
    [
        ("text", "", "empty"),
        ("text", "100 MB", "too-long"),
        ("text", "half a character", "not-text"),
        ("text", "marks", "too-many-marks"),
        ("text", "marks that are none", "too-many-marks"),
        ("set", "marks", "too-many-marks"),
        ("number", "huge number", "out-of-range"),
        ("number", "huge exponent", "too-long"),
        ("number", "many digits", "too-long"),
        ("number", "NaN", "not-a-number"),
        ("number", "other digits", "not-a-number"),
        ("json", "deep arrays", "too-deep"),
        ("json", "deep in a string, then deep", "not-json"),
        ("json", "number in JSON", "out-of-range"),
        ("json", "NaN in JSON", "not-json"),
        ("schema", "a name twice", "not-json"),
        ("schema", "comment", "not-json"),
        ("schema", "wide object", "different"),
    ],
)
def test_each_poison_has_its_own_reason(scorer: str, answer: str, reason: str) -> None:
    assert SCORERS[scorer](POISON.get(answer, answer)).reason == reason


def test_limits_are_kept_to_the_last_character() -> None:
    longest = "a" * exact.LONGEST
    assert same_text(longest, longest) == MATCH
    assert same_text(longest + "a", "a").reason is Reason.TOO_LONG
    deepest = "[" * exact.DEEPEST + "]" * exact.DEEPEST
    assert same_json(deepest, json.loads(deepest)) == MATCH
    assert same_json(f"[{deepest}]", []).reason is Reason.TOO_DEEP
    assert same_json(deepest + "]" * 999, []).reason is Reason.NOT_JSON
    digits = "9" * exact.LONGEST_NUMBER
    assert same_number(digits, int(digits)) == MATCH
    assert same_number("9" + digits, 9).reason is Reason.TOO_LONG
    edge = exact.LARGEST_EXPONENT
    assert same_number(f"1e{edge}", 10**edge) == MATCH
    assert same_number(f"1e{edge + 1}", 10**edge).reason is Reason.OUT_OF_RANGE
    run = "a" + "\u0301" * exact.LONGEST_RUN
    assert same_text(run, run) == MATCH
    assert same_text(run + "\u0301", "a").reason is Reason.TOO_MANY_MARKS


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("  New\n\tYork ", "new york", True),
        ("STRASSE", "straße", True),
        ("re\u0301sume\u0301", "r\u00e9sum\u00e9", True),
        ("\u212b", "\u00c5", True),
        ("Paris.", "Paris", False),
        ("NewYork", "new york", False),
        ("10\u00b2", "102", False),
        ("\u1fb3", "\u0391\u0345", True),
        ("\u03b1\u0345\u0301", "\u03b1\u0301\u0345", True),
    ],
)
def test_texts_that_are_the_same(answer: str, reference: str, same: bool) -> None:
    assert (same_text(answer, reference) == MATCH) is same
    assert (same_text(reference, answer) == MATCH) is same


def test_case_counts_where_it_is_asked_for() -> None:
    assert same_text("MW", "mW") == MATCH
    assert same_text("MW", "mW", case=True) == Mark(0.0, Reason.DIFFERENT)
    assert same_text("E\u0301", "\u00c9", case=True) == MATCH
    assert same_set("mW, MW", ["MW"], case=True).score == 0.5


@given(st.text(min_size=1, max_size=20).filter(str.strip))
def test_folding_twice_is_folding_once(text: str) -> None:
    once = fold(text)
    assert fold(once) == once == fold(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize(
    ("answer", "reference", "tolerances", "same"),
    [
        ("42", 42, {}, True),
        (" +4.2E1\n", 42, {}, True),
        ("42.", 42, {}, True),
        (".1", 0.1, {}, True),
        ("0.1000000000000000055", 0.1, {}, False),
        (str(2**100 + 1), 2**100, {}, False),
        (str(2**100 + 1), 2**100, {"absolute": 1}, True),
        ("-0", 0, {}, True),
        ("101", 100, {"relative": 0.01}, True),
        ("101.0000000000000000001", 100, {"relative": 0.01}, False),
        ("-101", -100, {"relative": 0.01}, True),
        ("0.3", 0, {"absolute": 0.3}, True),
        ("0.3", 0, {"relative": 0.3}, False),
        ("1,000", 1000, {}, False),
        ("42 km", 42, {}, False),
        ("It is 42", 42, {}, False),
        ("1/2", 0.5, {}, False),
        ("", 0, {}, False),
    ],
)
def test_numbers_that_are_the_same(
    answer: str, reference: float, tolerances: dict[str, float], same: bool
) -> None:
    assert (same_number(answer, reference, **tolerances) == MATCH) is same


@given(
    st.decimals(-1000, 1000, places=3),
    st.decimals(-1000, 1000, places=3),
    st.decimals(0, 300, places=2),
)
def test_a_number_is_right_exactly_within_the_tolerance(
    answer: Decimal, reference: Decimal, slack: Decimal
) -> None:
    with localcontext() as exactly:
        exactly.prec = 50
        within = abs(answer - reference) <= slack
    assert (same_number(str(answer), float(reference), absolute=float(slack)) == MATCH) is within


@given(st.sets(st.integers(0, 9), min_size=1), st.lists(st.integers(0, 9), min_size=1))
def test_a_set_is_worth_what_is_common_of_what_is_named(
    reference: set[int], named: list[int]
) -> None:
    mark = same_set(" ,".join(map(str, named)), [str(member) for member in reference])
    assert sound(mark)
    assert mark.score == len(reference & {*named}) / len(reference | {*named})


def test_sets_fold_their_members_and_take_any_separator() -> None:
    assert same_set("GREEN\n\nlight  red\n", ["light red", "green"], separator="\n") == MATCH
    assert same_set("red", ["red", "green"]) == Mark(0.5, Reason.PARTIAL, "1 of 2")


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ('{"b": [1.0, 2], "a": null}', {"a": None, "b": [1, 2]}, True),
        ("1", True, False),
        ("true", 1, False),
        ("0", False, False),
        ("[2, 1]", [1, 2], False),
        ("[1, 2, 2]", [1, 2], False),
        ('{"a": 1, "b": 2}', {"a": 1}, False),
        ('{"a": 1}', {"a": 1, "b": 2}, False),
        ('{"A": 1}', {"a": 1}, False),
        ('"1"', 1, False),
        ("1e2", 100, True),
        ("0.1", 0.1, True),
        ("9007199254740993", 9007199254740992, False),
        ('"\\u00e9"', "\u00e9", True),
        ("[[[1]]]", [[[2]]], False),
    ],
)
def test_json_that_says_the_same(answer: str, reference: object, same: bool) -> None:
    assert (same_json(answer, reference) == MATCH) is same


def test_a_difference_in_json_says_where() -> None:
    answer = json.dumps({**REFERENCE, "tags": ["x", "z"]})
    assert same_json(answer, REFERENCE) == Mark(0.0, Reason.DIFFERENT, "at $['tags'][1]")
    assert same_json('{"a": 1.26}', {"a": 1}, relative=0.25).score == 0.0
    assert same_json('{"a": 1.25}', {"a": 1}, relative=0.25) == MATCH


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=60)
@given(JSON, JSON, st.booleans())
def test_json_read_back_is_the_same_and_another_is_not(
    one: object, other: object, ascii_only: bool
) -> None:
    text = json.dumps(one, ensure_ascii=ascii_only, indent=1)
    assert same_json(text, one) == MATCH
    assert fits_schema(text, {"const": one}) == MATCH
    # By their canonical texts, in which 1 and 1.0 differ, so only what differs here as well.
    if one != other:
        assert same_json(text, other).score == 0.0
        assert fits_schema(text, {"enum": [other]}).score == 0.0


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, ""),
        ({"ratio": None}, ""),
        ({"year": 1815.0}, ""),
        ({"ratio": "0.1"}, "$['ratio']: type"),
        ({"ratio": True}, "$['ratio']: type"),
        ({"year": 1815.5}, "$['year']: type"),
        ({"year": -1}, "$['year']: minimum"),
        ({"year": 2027}, "$['year']: maximum"),
        ({"name": ""}, "$['name']: minLength"),
        ({"name": "Adele"}, "$['name']: maxLength"),
        ({"tags": []}, "$['tags']: minItems"),
        ({"tags": ["x"] * 4}, "$['tags']: maxItems"),
        ({"tags": ["x", 1.0]}, ""),
        ({"tags": ["x", True]}, "$['tags'][1]: enum"),
        ({"alive": 0}, "$['alive']: const"),
        ({"more": 1}, "$: additionalProperties"),
    ],
)
def test_every_keyword_is_checked(change: dict[str, object], broken: str) -> None:
    mark = fits_schema(json.dumps({**REFERENCE, **change}), SCHEMA)
    assert mark == (Mark(0.0, Reason.DIFFERENT, broken) if broken else MATCH)


def test_what_is_required_must_be_there_and_the_rest_need_not() -> None:
    assert fits_schema('{"name": "Ada", "year": 1}', SCHEMA) == MATCH
    assert fits_schema('{"name": "Ada"}', SCHEMA).detail == "$: required"
    assert fits_schema('{"a": 1}', {"additionalProperties": True, "title": "any"}) == MATCH
    # Rules for one kind of value say nothing of the others, as the specification has it.
    for rule in ({"minimum": 5}, {"minLength": 5}, {"required": ["a"]}, {"items": {"const": 1}}):
        assert fits_schema("null", rule) == MATCH
    assert fits_schema('"abc"', {"minimum": 5, "maximum": 1}) == MATCH


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(a+)+$"},
        {"properties": {"a": {"items": {"oneOf": []}}}},
        {"type": "float"},
        {"type": [["string"]]},
        {"minLength": -1},
        {"maxItems": True},
        {"minimum": "1"},
        {"maximum": math.nan},
        {"enum": "abc"},
        {"const": math.inf},
        {"required": "name"},
        {"required": [1]},
        {"properties": ["a"]},
        {"items": True},
        {"additionalProperties": {}},
        [],
    ],
)
def test_a_schema_that_would_not_be_checked_is_refused(schema: Any) -> None:
    with pytest.raises(ValueError):
        fits_schema("1", schema)


@pytest.mark.parametrize(
    "call",
    [
        lambda: same_text("a", " "),
        lambda: same_text("a", "\ud800"),
        lambda: same_number("1", math.nan),
        lambda: same_number("1", 1, absolute=-1.0),
        lambda: same_number("1", 1, relative=math.inf),
        lambda: same_set("a", []),
        lambda: same_set("a", ["a", ""]),
        lambda: same_set("a", ["a, b"]),
        lambda: same_set("a", ["a"], separator=""),
        lambda: same_json("1", math.nan),
        lambda: same_json("1", {1, 2}),
        lambda: same_json("1", {1: "a", "1": "b"}),
        lambda: same_json("1", 1, absolute=math.nan),
    ],
)
def test_a_reference_that_is_none_is_the_authors_fault(call: Callable[[], Mark]) -> None:
    with pytest.raises(ValueError):
        call()
