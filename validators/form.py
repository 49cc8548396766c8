"""The form of a journal's lines, as far as a reader here goes by it without looking first.

Somebody may have edited a journal, or a disk have damaged it: a line that is JSON and not of this
form is found when it is read, with its place, and not where a number turns out to be none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NotRequired

from pydantic import (
    ConfigDict,
    Field,
    InstanceOf,
    Strict,
    TypeAdapter,
    ValidationError,
    with_config,
)
from typing_extensions import TypedDict  # Pydantic takes no other before Python 3.12

from subnet.protocol import Failure

_Uid = Annotated[str, Field(pattern="^[0-9]{1,9}$")]
_Text = InstanceOf[str]
"""Any text: an author's may hold what UTF-8 has no bytes for."""
_Loose = Strict(False)
"""JSON has no tuples, and no enumerations."""


@with_config(ConfigDict(strict=True, extra="ignore", allow_inf_nan=False))
class _Form(TypedDict):
    pass


class _Line(_Form):
    code: NotRequired[dict[_Text, _Text | None] | None]
    written: NotRequired[int]


class _Other(_Line):
    time: NotRequired[float]


class _Difference(_Form):
    uid: int
    meant: float
    found: float
    cause: _Text


class _Weights(_Form):
    set: bool
    read_back: bool | None
    block: int | None
    problem: _Text | None
    meant: dict[_Uid, int]
    burned: NotRequired[bool]
    code: NotRequired[_Text | None]
    differences: NotRequired[list[_Difference]]
    others: NotRequired[dict[_Uid, _Weights] | None]


class _Reply(_Form):
    """Older lines hold whatever JSON an author's judge gave, a score of `true` among it."""

    task: _Text
    uid: int
    hotkey: _Text
    failure: Annotated[Failure, _Loose] | None
    detail: _Text
    status: int | None
    signed: bool
    queued_s: float
    first_byte_s: float | None
    total_s: float
    score: Annotated[float, Field(ge=0.0, le=1.0)] | bool
    reason: _Text
    facts: dict[_Text, Any]
    answer: Any


class _Task(_Form):
    id: _Text


class _Round(_Line):
    round: int
    time: float
    netuid: int
    validator: _Text
    block: int
    epoch: int
    tasks: list[_Task]
    replies: list[_Reply]
    scores: dict[_Text, float]
    weights: _Weights
    withheld: NotRequired[dict[_Text, _Text]]
    memory: NotRequired[dict[_Text, dict[_Text, float]]]
    moved: NotRequired[dict[_Text, _Text]]
    coldkeys: NotRequired[dict[_Text, _Text]]


class _Reveal(_Line):
    round: int
    time: float
    ending: _Text
    block: int
    epoch: int | None
    mechanism: NotRequired[int]
    differences: NotRequired[list[_Difference]]


class _Standing(_Line):
    time: float
    epoch: int
    vtrust: float
    distance: float
    missed: int
    balance_rao: int
    coldkey_rao: NotRequired[int | None]
    registered_at: NotRequired[int | None]
    above: list[Annotated[tuple[int, _Text, float], _Loose]]
    seats: NotRequired[list[Annotated[tuple[int, _Text, float, float], _Loose]]]
    differences: list[_Difference]


class _Entry(_Form):
    leaf: NotRequired[_Text]


class _Leaves(_Other):
    leaves: list[_Entry]


class _Through(_Other):
    through: int


class _Part(_Other):
    part: int


_FORMS: Final[Mapping[str, TypeAdapter[Any]]] = {
    "round": TypeAdapter(_Round),
    "reveal": TypeAdapter(_Reveal),
    "standing": TypeAdapter(_Standing),
    "leaves": TypeAdapter(_Leaves),
    "part": TypeAdapter(_Part),
    "lost": TypeAdapter(_Through),
    "rewound": TypeAdapter(_Through),
}
_OTHER: Final = TypeAdapter(_Other)


def find_problem(line: Mapping[str, Any]) -> str | None:
    """What is not as in a line of its kind, and where; None for a sound one."""
    kind = line.get("kind")
    if not (kind is None or isinstance(kind, str)):
        return "kind: Input should be a valid string"
    try:
        _FORMS.get(kind or "", _OTHER).validate_python(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:200]
    return None
