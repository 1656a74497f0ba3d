"""The figures of an evaluation. Each title says what is shown, each axis says of what."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from tfclass.evaluation.metrics import Estimate, Scored, calibration_bins, stated_and_happened

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d9822b", "#8a8a8a"


def evaluation_figures(
    scored: Scored, classes: Sequence[str], metrics: dict[str, Estimate], n_bins: int
) -> dict[str, Figure]:
    """Draw every figure of a report.

    Parameters
    ----------
    scored : Scored
    classes : sequence of str, length C
    metrics : dict of str to Estimate
        From `cluster_bootstrap`; shown in the legends.
    n_bins : int
        Of the reliability diagram.

    Returns
    -------
    dict of str to Figure
        By file name without suffix: ``calibration`` and ``confusion``; in a binary task also ``scores`` and, where
        both classes have members, ``precision_recall`` and ``roc``.
    """
    figures = {"calibration": _calibration(scored, metrics["ece"], n_bins), "confusion": _confusion(scored, classes)}
    if len(classes) == 2:
        figures["scores"] = _scores(scored, classes)
    # With one class alone there is no trade-off to draw.
    if len(classes) == 2 and len(np.unique(scored.labels_N)) == 2:
        figures["precision_recall"] = _precision_recall(scored, classes, metrics["average_precision"])
        figures["roc"] = _roc(scored, classes, metrics["auroc"])
    return figures


def _axes(title: str, x: str, y: str, *, square: bool = True) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 4.6) if square else (6.4, 4.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _with_interval(name: str, estimate: Estimate) -> str:
    return f"{name} {estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _precision_recall(scored: Scored, classes: Sequence[str], estimate: Estimate) -> Figure:
    figure, axes = _axes(f"Precision and recall of {classes[1]}", "recall", "precision")
    precision, recall, _ = precision_recall_curve(scored.labels_N == 1, scored.probability_NC[:, 1])
    axes.plot(recall, precision, color=_BLUE, label=_with_interval("AP", estimate), drawstyle="steps-post")
    prevalence = float((scored.labels_N == 1).mean())
    axes.axhline(prevalence, color=_GREY, linestyle="--", label=f"chance (prevalence {prevalence:.3f})")
    calls = scored.calls_N == 1
    if calls.any():
        hits = (calls & (scored.labels_N == 1)).sum()
        at = (hits / (scored.labels_N == 1).sum(), hits / calls.sum())
        axes.plot(*at, "o", color=_ORANGE, label=f"threshold {scored.threshold:.3f}")
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03))
    axes.legend(loc="lower left", frameon=False)
    return figure


def _roc(scored: Scored, classes: Sequence[str], estimate: Estimate) -> Figure:
    figure, axes = _axes(f"ROC of {classes[1]}", "false positive rate", "true positive rate")
    false_rate, true_rate, _ = roc_curve(scored.labels_N == 1, scored.probability_NC[:, 1])
    axes.plot(false_rate, true_rate, color=_BLUE, label=_with_interval("AUROC", estimate))
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="chance")
    axes.set(xlim=(-0.01, 1), ylim=(0, 1.02))
    axes.legend(loc="lower right", frameon=False)
    return figure


def _calibration(scored: Scored, estimate: Estimate, n_bins: int) -> Figure:
    figure, axes = _axes("Reliability", "stated probability", "observed frequency")
    stated_N, happened_N = stated_and_happened(scored)
    bins_N = calibration_bins(stated_N, n_bins)
    count = np.bincount(bins_N, minlength=n_bins)
    filled = count > 0
    stated = np.bincount(bins_N, stated_N, n_bins)[filled] / count[filled]
    observed = np.bincount(bins_N, happened_N, n_bins)[filled] / count[filled]
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="perfect")
    axes.plot(stated, observed, color=_BLUE, label=_with_interval("ECE", estimate))
    area = 20 + 180 * count[filled] / count.max()
    axes.scatter(stated, observed, s=area, color=_BLUE, alpha=0.55, linewidth=0, label="bin (area: proteins)")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.legend(loc="upper left", frameon=False)
    return figure


def _confusion(scored: Scored, classes: Sequence[str]) -> Figure:
    n_classes = len(classes)
    counts_CC = np.bincount(scored.labels_N * n_classes + scored.calls_N, minlength=n_classes**2)
    counts_CC = counts_CC.reshape(n_classes, n_classes)
    shares_CC = counts_CC / np.maximum(counts_CC.sum(axis=1, keepdims=True), 1)
    figure, axes = _axes("Confusion (color: share of the true class)", "called", "true")
    size = max(4.2, 0.32 * n_classes + 2.4)
    figure.set_size_inches(size + 0.8, size)
    image = axes.imshow(shares_CC, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.8)
    rotation = 0 if n_classes <= 4 else 90
    axes.set_xticks(range(n_classes), classes, rotation=rotation)
    axes.set_yticks(range(n_classes), classes)
    if n_classes <= 12:
        _write_counts(axes, counts_CC, shares_CC)
    return figure


def _write_counts(axes: Axes, counts_CC: npt.NDArray[np.int64], shares_CC: npt.NDArray[np.float64]) -> None:
    for true, called in np.ndindex(counts_CC.shape):
        color = "white" if shares_CC[true, called] > 0.5 else "black"
        text = f"{counts_CC[true, called]:,}\n{shares_CC[true, called]:.1%}"
        axes.text(called, true, text, ha="center", va="center", color=color)


def _scores(scored: Scored, classes: Sequence[str]) -> Figure:
    figure, axes = _axes("Probability by true class", f"probability of {classes[1]}", "proteins", square=False)
    edges = np.linspace(0, 1, 41).tolist()
    for label, color in ((0, _GREY), (1, _BLUE)):
        own_N = scored.probability_NC[scored.labels_N == label, 1]
        axes.hist(own_N, bins=edges, color=color, alpha=0.6, label=f"{classes[label]} ({len(own_N):,})")
    if scored.threshold is not None:
        axes.axvline(scored.threshold, color=_ORANGE, label=f"threshold {scored.threshold:.3f}")
    axes.set_yscale("log")
    axes.legend(frameon=False)
    return figure
