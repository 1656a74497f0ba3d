"""The figures of an evaluation, with titles and axes that say what is shown."""

import textwrap
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from tfclass.evaluation.bootstrap import Estimate
from tfclass.evaluation.formats import display_name, interval
from tfclass.evaluation.homologues import LeftOut
from tfclass.evaluation.metrics import METRICS
from tfclass.evaluation.scored import Scored, calibration_bins
from tfclass.evaluation.subgroups import ScoredGrouping, Subgroup
from tfclass.io.drawing import BLUE, GREY, ORANGE, verbatim
from tfclass.typing import FloatArray

_BASELINES = ("#d9822b", "#4a9b76", "#a06cb5", "#b58b2a")
# Drawn by subgroup: one of the ranking, and one of the predictions.
_BY_SUBGROUP = ("average_precision", "mcc")


def report_figures(
    scored: Scored,
    classes: Sequence[str],
    metrics: Mapping[str, Estimate],
    n_bins: int,
    baselines: Mapping[str, Scored],
    subgroups: Mapping[str, ScoredGrouping | LeftOut],
) -> dict[str, Figure]:
    """Draw every figure of a report that has a meaning for these proteins, by file name without suffix."""
    names = [verbatim(name) for name in classes]
    figures: dict[str, Figure] = {}
    # With one class alone there is no trade-off to draw.
    if len(classes) == 2 and len(np.unique(scored.labels_N)) == 2:
        figures["precision_recall"] = _precision_recall(scored, names, metrics["average_precision"], baselines)
        figures["roc"] = _roc(scored, names, metrics["auroc"], baselines)
    figures["calibration"] = _calibration(scored, metrics["ece"], n_bins)
    figures["confusion"] = _confusion(scored, names)
    if len(classes) == 2:
        figures["scores"] = _scores(scored, names)
    for key, grouping in subgroups.items():
        shown = [] if isinstance(grouping, LeftOut) else [part for part in grouping.subgroups if _is_drawable(part)]
        if shown:
            figures[f"by_{key}"] = _by_subgroup(grouping.title, shown, joined=key in ("length", "identity"))
    return figures


def differences_figure(differences: Mapping[str, Mapping[str, Estimate]], reference: str, n_proteins: int) -> Figure:
    """Draw the differences of runs to a reference, by run and metric, with their intervals."""
    metrics, places = list(next(iter(differences.values()))), np.arange(len(differences), dtype=float)
    size = (3.1 * len(metrics) + 1.6, 1.5 + 0.45 * len(differences))
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    figure.suptitle(f"Difference to {verbatim(reference)} on {n_proteins:,} proteins", fontsize=10)
    panels = figure.subplots(1, len(metrics), sharex=True, sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, metrics, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.axvline(0, color=GREY, linestyle="--", linewidth=1)
        rows, values, bars = _defined(places, [difference[name] for difference in differences.values()])
        axes.errorbar(values, rows, xerr=bars, color=BLUE, fmt="o", markersize=5)
        axes.set(xlabel=METRICS[name].title, ylim=(len(places) - 0.5, -0.5))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(labelsize="small")
    panels[0].set_yticks(places, [verbatim(run[-32:]) for run in differences], fontsize="small")
    return figure


def _axes(title: str, x: str, y: str, *, square: bool = True) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 4.6) if square else (6.4, 4.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend_entry(name: str, estimate: Estimate) -> str:
    if estimate.value is None:
        return f"{name} undefined"
    return f"{name} {estimate.value:.3f} {interval(estimate)}".rstrip()


def _precision_recall(
    scored: Scored, classes: Sequence[str], estimate: Estimate, baselines: Mapping[str, Scored]
) -> Figure:
    def curve(scored: Scored) -> tuple[FloatArray, FloatArray]:
        precision, recall, _ = precision_recall_curve(scored.labels_N == 1, scored.probability_NC[:, 1])
        return recall, precision

    figure, axes = _axes(f"Precision and recall of {classes[1]}", "recall", "precision")
    _draw_curves(axes, curve, scored, _legend_entry("model, AP", estimate), baselines, drawstyle="steps-post")
    prevalence = float((scored.labels_N == 1).mean())
    axes.axhline(prevalence, color=GREY, linestyle="--", label=f"chance (prevalence {prevalence:.3f})")
    (_, fp), (fn, tp) = scored.confusion_CC
    if tp + fp:
        label = f"model at its threshold, {scored.threshold:.3f}"
        axes.plot(tp / (tp + fn), tp / (tp + fp), "o", color=BLUE, label=label)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03))
    axes.legend(loc="lower left", frameon=False, fontsize="small")
    return figure


def _roc(scored: Scored, classes: Sequence[str], estimate: Estimate, baselines: Mapping[str, Scored]) -> Figure:
    def curve(scored: Scored) -> tuple[FloatArray, FloatArray]:
        return roc_curve(scored.labels_N == 1, scored.probability_NC[:, 1])[:2]

    figure, axes = _axes(f"ROC of {classes[1]}", "false positive rate", "true positive rate")
    _draw_curves(axes, curve, scored, _legend_entry("model, AUROC", estimate), baselines)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="chance")
    axes.set(xlim=(-0.01, 1), ylim=(0, 1.02))
    axes.legend(loc="lower right", frameon=False, fontsize="small")
    return figure


def _draw_curves(
    axes: Axes,
    curve: Callable[[Scored], tuple[FloatArray, FloatArray]],
    scored: Scored,
    label: str,
    baselines: Mapping[str, Scored],
    drawstyle: str = "default",
) -> None:
    for (name, baseline), color in zip(baselines.items(), _BASELINES, strict=False):
        axes.plot(*curve(baseline), color=color, linewidth=1, label=display_name(name), drawstyle=drawstyle)
    axes.plot(*curve(scored), color=BLUE, linewidth=1.8, label=label, drawstyle=drawstyle)


def _calibration(scored: Scored, estimate: Estimate, n_bins: int) -> Figure:
    figure, axes = _axes("Reliability", "stated probability", "observed frequency")
    confidence_N, outcome_N = scored.confidence_and_outcome
    bins_N = calibration_bins(confidence_N, n_bins)
    count = np.bincount(bins_N, minlength=n_bins)
    filled = count > 0
    stated, observed = (
        np.bincount(bins_N, values_N, n_bins)[filled] / count[filled] for values_N in (confidence_N, outcome_N)
    )
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfect")
    axes.plot(stated, observed, color=BLUE, label=_legend_entry("ECE", estimate))
    area = 20 + 180 * count[filled] / count.max()
    axes.scatter(stated, observed, s=area, color=BLUE, alpha=0.55, linewidth=0, label="bin (area: proteins)")
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.legend(loc="upper left", frameon=False)
    return figure


def _confusion(scored: Scored, classes: Sequence[str]) -> Figure:
    n_classes, counts_CC = len(classes), scored.confusion_CC
    shares_CC = counts_CC / np.maximum(counts_CC.sum(axis=1, keepdims=True), 1)
    figure, axes = _axes("Confusion (color: share of the true class)", "predicted", "true")
    size = max(4.2, 0.32 * n_classes + 2.4)
    figure.set_size_inches(size + 0.8, size)
    image = axes.imshow(shares_CC, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.8)
    axes.set_xticks(range(n_classes), classes, rotation=0 if n_classes <= 4 else 90)
    axes.set_yticks(range(n_classes), classes)
    for true, predicted in np.ndindex(counts_CC.shape) if n_classes <= 12 else ():
        share = shares_CC[true, predicted]
        text, color = f"{counts_CC[true, predicted]:,}\n{share:.1%}", "white" if share > 0.5 else "black"
        axes.text(predicted, true, text, ha="center", va="center", color=color)
    return figure


def _scores(scored: Scored, classes: Sequence[str]) -> Figure:
    figure, axes = _axes("Probability by true class", f"probability of {classes[1]}", "proteins", square=False)
    edges = np.linspace(0, 1, 41).tolist()
    for label, color in ((0, GREY), (1, BLUE)):
        own_N = scored.probability_NC[scored.labels_N == label, 1]
        axes.hist(own_N, bins=edges, color=color, alpha=0.6, label=f"{classes[label]} ({len(own_N):,})")
    if scored.threshold is not None:
        axes.axvline(scored.threshold, color=ORANGE, label=f"threshold {scored.threshold:.3f}")
    axes.set_yscale("log")
    # On white, for a threshold may run behind it.
    axes.legend(loc="upper center", framealpha=1, edgecolor="none")
    return figure


def _is_drawable(part: Subgroup) -> bool:
    return part.metrics is not None and any(part.metrics[name].value is not None for name in _BY_SUBGROUP)


def _by_subgroup(title: str, parts: Sequence[Subgroup], *, joined: bool) -> Figure:
    figure = Figure(figsize=(6.4, 5.6), dpi=120, layout="constrained")
    both = figure.subplots(2, 1, sharex=True)
    figure.suptitle(f"By {verbatim(title)}")
    places = np.arange(len(parts), dtype=np.float64)
    series = [("model", BLUE, [part.metrics or {} for part in parts])]
    if any(part.top_hit for part in parts):
        series.append(("homology search, top hit", ORANGE, [part.top_hit or {} for part in parts]))
    shares = [part.prevalence for part in parts]
    for axes, metric in zip(both, _BY_SUBGROUP, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        for shift, (label, color, metrics) in zip((-0.06, 0.06) if len(series) > 1 else (0.0,), series, strict=True):
            x, values, bars = _defined(places + shift, [each[metric] for each in metrics])
            line = "-" if joined else "none"
            axes.errorbar(
                x, values, bars, color=color, marker="o", markersize=4, capsize=3, linestyle=line, label=label
            )
        if metric == "average_precision" and None not in shares:
            axes.plot(places, shares, "_", color=GREY, markersize=22, label="prevalence (chance)")
        axes.set(ylabel=METRICS[metric].title, ylim=(min(0, axes.get_ylim()[0]), 1.03))
        axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.6)
    # Above the axes, where no value can lie.
    both[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize="small")
    both[1].set_xlabel(verbatim(title))
    both[1].set_xticks(places, [f"{_wrapped(part.label)}\nn {part.n:,}" for part in parts], fontsize="small")
    return figure


def _defined(places: FloatArray, estimates: Sequence[Estimate]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the places and values of the estimates that have one, and how far their intervals reach, shape (2, n)."""
    kept = [
        (x, e.value, e.value if e.low is None else e.low, e.value if e.high is None else e.high)
        for x, e in zip(places, estimates, strict=True)
        if e.value is not None
    ]
    x, values, low, high = np.array(kept).reshape(-1, 4).T
    # A percentile interval need not hold the value itself.
    return x, values, np.maximum([values - low, high - values], 0)


def _wrapped(label: str) -> str:
    short = label if len(label) <= 24 else f"{label[:23]}…"
    return verbatim("\n".join(textwrap.wrap(short, 14)))
