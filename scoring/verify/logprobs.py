"""Teacher-forced log-probabilities: does an answer look drawn from the model that was asked for?

The judge's own model steps along the answer, in one prefill, and says at each token what it would
have expected there. Four measures, each made so that its honest values depend little on the prompt
and the length; what they are exactly, with the miner's arithmetic, is data (`Floor`):

    surprise  |sum of (-ln q(token) - H(q))| / sqrt(1 + sum of Var(ln q))     q: see below
    rarest    -ln min(1, tokens x the least of P(q draws one as unlikely as this token))
    perfect   (tokens that are the likeliest - sum of max q) / sqrt(1 + sum of max q (1 - max q))
    early     -ln P(an honest answer has ended by here)          0 unless it ends before its length
    late      -ln P(an honest answer has not ended before here)
    gap       mean |log-probability reported by the miner - the judge's|, clipped; if it was asked

q is what an honest miner samples from: softmax(log-probability / temperature) over the likeliest.
The first two are as a sum minus its mean over its standard deviation, and the 1 keeps an answer
that offers no choice from being divided by nothing. Surprise counts both ways: a smaller model's
text is often *less* surprising than the right model's own.

It cannot see who sampled: the right model run in prefill over a cheaper one's text, reported from,
passes `gap`; and text whose temperature was tuned so that its surprise is right passes `surprise`.
The seed lock sees both. What a miner reports is a claim and nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring.verify.statement import Measure, Outcome, Sample, Statement, measured
from scoring.verify.steps import LEAST_TEMPERATURE as LEAST_TEMPERATURE
from scoring.verify.steps import LOGPROB_SLACK as LOGPROB_SLACK
from scoring.verify.steps import Asked as Asked
from scoring.verify.steps import Step, unmeasurable
from scoring.verify.steps import fault as fault

CHECK = "logprobs"

SURPRISE_CLIP = 20.0
"""Nats: no single token surprises by more, also one the judge's model holds to be impossible."""

GAP_CLIP = 4.0
"""Nats: no single reported log-probability is further off."""

LEAST_LOGPROB = -1e6
"""Nats: a miner who reports less reports nonsense, and what a judge's engine says of less, -inf
too, is taken as this."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The measures of many honest answers, per model, precision and pair of engines."""

    surprise: Sample
    rarest: Sample
    perfect: Sample
    early: Sample
    late: Sample
    gap: Sample | None = None
    """Only where miners are asked for log-probabilities."""


def verify(
    token_ids: Sequence[int],
    steps: Sequence[Step],
    asked: Asked,
    floor: Floor,
    reported: Sequence[float] | None = None,
) -> Statement:
    """Return what the log-probabilities say of an answer; `steps` are the judge's, one per token.

    `reported` are the miner's own log-probabilities at temperature 1, which a floor with a `gap`
    asks for. Invalid: ids, lengths or reports that are not of the form asked for. Unknown: steps
    that are not numbers, or of other tokens; that is the judge's engine, but note that the tokens
    it stumbled over were the miner's choice.
    """
    wrong = fault(token_ids, asked) or _report_fault(reported, len(token_ids), floor)
    if wrong is not None:
        return Statement(CHECK, Outcome.INVALID, wrong)
    unsure = unmeasurable(token_ids, steps)
    if unsure is not None:
        return Statement(CHECK, Outcome.UNKNOWN, unsure)
    measures = measure(steps, asked)
    samples = {
        "surprise": floor.surprise,
        "rarest": floor.rarest,
        "perfect": floor.perfect,
        "early": floor.early,
        "late": floor.late,
    }
    if reported is not None and floor.gap is not None:
        samples["gap"] = floor.gap
        measures["gap"] = gap(steps, reported)
    return measured(
        CHECK,
        [Measure(name, measures[name], kept.p(measures[name])) for name, kept in samples.items()],
    )


def measure(steps: Sequence[Step], asked: Asked) -> dict[str, float]:
    """Return the measures of an answer apart from `gap`; a floor is made of these too.

    One step or more, of usable numbers, for an answer without `fault`.
    """
    surprise = variance = perfect = doubt = 0.0
    rarest = 1.0
    survived = 0.0  # ln P(an honest answer has not ended before this step)
    early = 0.0
    for step in steps:
        tempered = np.maximum(step.top_logprobs, LEAST_LOGPROB) / asked.temperature
        ln_sum = float(np.logaddexp.reduce(tempered))
        ln_q = tempered - ln_sum
        q = np.exp(ln_q)
        entropy = -float((q * ln_q).sum())
        own = step.logprob / asked.temperature - ln_sum
        surprise += min(-own, SURPRISE_CLIP) - entropy
        variance += max(0.0, float((q * ln_q * ln_q).sum()) - entropy * entropy)
        rarest = min(rarest, max(float(q[ln_q <= own].sum()), math.exp(min(own, 0.0))))
        best = float(q.max())
        perfect += float(step.logprob >= step.top_logprobs.max()) - best
        doubt += best * (1.0 - best)
        # An end token that is not among the likeliest is never sampled: a hazard of 0.
        hazard = float(q[step.top_ids == asked.end_token].sum())
        if step.token == asked.end_token:
            if len(steps) < asked.length:
                hazard = max(hazard, min(math.exp(own), 1.0))
                early = -_ln_one_minus_exp(survived + math.log1p(-min(hazard, 1.0 - 1e-12)))
        else:
            survived += math.log1p(-min(hazard, 1.0 - 1e-12))
    return {
        "surprise": abs(surprise) / math.sqrt(1.0 + variance),
        "rarest": -math.log(min(1.0, len(steps) * rarest)) if rarest > 0.0 else math.inf,
        "perfect": perfect / math.sqrt(1.0 + doubt),
        "early": early,
        "late": -survived,
    }


def gap(steps: Sequence[Step], reported: Sequence[float]) -> float:
    """Return the mean clipped distance, nats, of reported log-probabilities from the judge's."""
    own = np.array([step.logprob for step in steps])
    return float(np.minimum(np.abs(np.asarray(reported) - own), GAP_CLIP).mean())


def _report_fault(reported: Sequence[float] | None, length: int, floor: Floor) -> str | None:
    if floor.gap is None:
        return None
    if not isinstance(reported, (list, tuple)) or len(reported) != length:
        return f"not one log-probability for each of {length} tokens"
    for at, value in enumerate(reported):
        if not isinstance(value, (int, float)) or not LEAST_LOGPROB <= value <= LOGPROB_SLACK:
            return f"the log-probability reported at {at}"
    return None


def _ln_one_minus_exp(x: float) -> float:
    """ln(1 - e^x) for x < 0, exact at both ends."""
    return math.log(-math.expm1(x)) if x < 0.0 else -math.inf
