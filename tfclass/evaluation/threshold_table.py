"""What the rules for choosing a threshold do on the proteins that are scored, whose labels play no part in them."""

from typing import Any

import numpy as np

from tfclass.channels.thresholds import Calling, Decision, decimals_for, parse_rule
from tfclass.errors import ConfigError
from tfclass.evaluation.metrics import Scored
from tfclass.typing import FloatArray

RULES = {
    "max-mcc": "greatest Matthews correlation on validation; the model's own",
    "fdr=0.05": "at most 5 % false discoveries expected by the probabilities, at the prevalence estimated from them",
    "recall=0.9": "at least 90 % of the positives found on validation",
}


def threshold_rules(calling: Calling, scored: Scored) -> list[dict[str, Any]]:
    """Apply each rule of `RULES`.

    Parameters
    ----------
    scored : Scored
        Of a binary task.

    Returns
    -------
    list of dict
        ``rule``, ``meaning`` and, where the model can follow it, ``threshold``, ``prevalence`` (that the probabilities
        are moved to for it; null where they stay), ``called``, ``true_positives``, ``precision``, ``fdr`` (both null
        when nothing is called) and ``recall`` (null without a positive); else ``left_out`` with the reason. Empty in a
        multi-class task. JSON values.
    """
    if calling.threshold is None:
        return []
    return [{"rule": rule, "meaning": meaning, **_applied(rule, calling, scored)} for rule, meaning in RULES.items()]


def _applied(rule: str, calling: Calling, scored: Scored) -> dict[str, Any]:
    try:
        decision = _decision(rule, calling, scored.probability_NC[:, 1])
    except ConfigError as error:
        return {"left_out": f"found {error.found}" + (f"; expected {error.expected}" if error.expected else "")}
    moved = scored.probability_NC
    if decision.prevalence is not None:
        moved = calling.probability_at(moved, decision.prevalence)
    called_N = moved[:, 1].round(decimals_for(decision.threshold)) >= decision.threshold
    positive_N = scored.labels_N == 1
    called, positives, hits = int(called_N.sum()), int(positive_N.sum()), int(np.sum(called_N & positive_N))
    return {
        "threshold": decision.threshold,
        "prevalence": decision.prevalence,
        "called": called,
        "true_positives": hits,
        "precision": hits / called if called else None,
        "fdr": (called - hits) / called if called else None,
        "recall": hits / positives if positives else None,
    }


def _decision(rule: str, calling: Calling, probability_N: FloatArray) -> Decision:
    if parse_rule(rule).kind == "fdr":
        return calling.decide(probability_N, rule)
    return Decision(calling.choose(rule) or 0.0, None)
