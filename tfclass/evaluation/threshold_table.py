"""The rules for choosing a threshold, applied to the proteins that are scored; their labels play no part in them."""

from pydantic.dataclasses import dataclass

from tfclass.channels.thresholds import OWN_THRESHOLD, DecisionRule
from tfclass.errors import ConfigError
from tfclass.evaluation.scored import Scored

RULES = {
    "max-mcc": f"{OWN_THRESHOLD}; the model's own",
    "fdr=0.05": "at most 5 % false discoveries expected by the probabilities, at the prevalence estimated from them",
    "recall=0.9": "at least 90 % of the positives expected to be predicted on validation",
}


@dataclass(frozen=True)
class RuleResult:
    """Predicted positives by a rule; the probabilities are moved to `prevalence` for it, if there is one."""

    rule: str
    meaning: str
    threshold: float
    prevalence: float | None
    predicted: int
    true_positives: int
    precision: float | None
    fdr: float | None
    recall: float | None


@dataclass(frozen=True)
class UnusableRule:
    """A rule that the model cannot follow; `left_out` is the reason."""

    rule: str
    meaning: str
    left_out: str


def apply_rules(own: DecisionRule, scored: Scored) -> list[RuleResult | UnusableRule]:
    """Apply each rule of `RULES`; none in a multi-class task."""
    if own.threshold is None:
        return []
    return [_apply(rule, meaning, own, scored) for rule, meaning in RULES.items()]


def _apply(rule: str, meaning: str, own: DecisionRule, scored: Scored) -> RuleResult | UnusableRule:
    try:
        chosen = own.choose(rule, probability_N=scored.probability_NC[:, 1])
    except ConfigError as error:
        return UnusableRule(rule, meaning, str(error))
    predicted_N, positive_N = chosen.predict(chosen.shown(scored.probability_NC)) == 1, scored.labels_N == 1
    n, positives, tp = int(predicted_N.sum()), int(positive_N.sum()), int((predicted_N & positive_N).sum())
    return RuleResult(
        rule,
        meaning,
        threshold=chosen.threshold or 0.0,
        prevalence=chosen.moved_to,
        predicted=n,
        true_positives=tp,
        precision=tp / n if n else None,
        fdr=(n - tp) / n if n else None,
        recall=tp / positives if positives else None,
    )
