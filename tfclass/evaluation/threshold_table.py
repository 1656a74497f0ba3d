"""What the rules for choosing a threshold do on the proteins that are scored, whose labels play no part in them."""

from typing import Any

import numpy as np

from tfclass.channels.thresholds import DecisionRule
from tfclass.errors import ConfigError
from tfclass.evaluation.metrics import Scored

RULES = {
    "max-mcc": "greatest Matthews correlation on validation; the model's own",
    "fdr=0.05": "at most 5 % false discoveries expected by the probabilities, at the prevalence estimated from them",
    "recall=0.9": "at least 90 % of the positives found on validation",
}


def threshold_rules(own: DecisionRule, scored: Scored) -> list[dict[str, Any]]:
    """Apply each rule of `RULES`.

    Parameters
    ----------
    own : DecisionRule
        Of the channel that scored.
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
    if own.threshold is None:
        return []
    return [{"rule": rule, "meaning": meaning, **_applied(rule, own, scored)} for rule, meaning in RULES.items()]


def _applied(rule: str, own: DecisionRule, scored: Scored) -> dict[str, Any]:
    try:
        chosen = own.choose(rule, probability_N=scored.probability_NC[:, 1])
    except ConfigError as error:
        return {"left_out": str(error)}
    called_N = chosen.predict(chosen.shown(scored.probability_NC)) == 1
    positive_N = scored.labels_N == 1
    called, positives, hits = int(called_N.sum()), int(positive_N.sum()), int(np.sum(called_N & positive_N))
    return {
        "threshold": chosen.threshold,
        "prevalence": chosen.moved_to,
        "called": called,
        "true_positives": hits,
        "precision": hits / called if called else None,
        "fdr": (called - hits) / called if called else None,
        "recall": hits / positives if positives else None,
    }
