"""Numbers as JSON values: what is undefined becomes null, and says why."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfclass.evaluation.bootstrap import Estimate

_NO_INTERVAL = "no interval: there is one cluster only, or no resample defines it"


def plain_number(value: float) -> float | None:
    """Give a finite number as it is, and None for any other."""
    return float(value) if np.isfinite(value) else None


def plain_estimate(estimate: Estimate, reason: str = "") -> dict[str, Any]:
    """Give ``value``, ``low`` and ``high``, and, where one of them is null, the ``reason``.

    Examples
    --------
    >>> plain_estimate(Estimate(0.5, 0.4, 0.6))
    {'value': 0.5, 'low': 0.4, 'high': 0.6}
    >>> plain_estimate(Estimate(float("nan"), float("nan"), float("nan")), "no positive protein")
    {'value': None, 'low': None, 'high': None, 'reason': 'no positive protein'}
    """
    plain: dict[str, Any] = {name: plain_number(value) for name, value in estimate._asdict().items()}
    if plain["value"] is None:
        plain["reason"] = reason or "not defined on these proteins"
    elif plain["low"] is None:
        plain["reason"] = _NO_INTERVAL
    return plain


def plain_estimates(estimates: Mapping[str, Estimate], reasons: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Apply `plain_estimate` to every metric, with its reason where `reasons` has one."""
    return {name: plain_estimate(estimate, reasons.get(name, "")) for name, estimate in estimates.items()}
