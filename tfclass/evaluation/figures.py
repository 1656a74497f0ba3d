"""The figures of an evaluation. Each title says what is shown, each axis says of what."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from tfclass.evaluation.scored import Scored, calibration_bins, confusion, stated_and_happened
from tfclass.evaluation.tables import METRICS
from tfclass.typing import FloatArray, IntArray

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d9822b", "#7a7a7a"
_RIVALS = ("#d9822b", "#4a9b76", "#a06cb5", "#b58b2a")
# What is drawn by slice: how well the model ranks, and how well it calls.
_SLICED = ("average_precision", "mcc")
Estimates = Mapping[str, Mapping[str, Any]]


def evaluation_figures(
    scored: Scored,
    classes: Sequence[str],
    metrics: Estimates,
    n_bins: int,
    *,
    rivals: Mapping[str, Scored] | None = None,
    slices: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Figure]:
    """Draw every figure of a report.

    Parameters
    ----------
    classes : sequence of str, length C
    metrics : mapping of str to mapping
        As in the report; shown in the legends.
    n_bins : int
        Of the reliability diagram.
    rivals : mapping of str to Scored, optional
        What baselines say of the same proteins, by title.
    slices : mapping of str to mapping, optional
        From `break_down`.

    Returns
    -------
    dict of str to Figure
        By file name without suffix: ``calibration`` and ``confusion``; in a binary task also ``scores`` and, where
        both classes have members, ``precision_recall`` and ``roc``; and ``by_KEY`` for each way to slice in which some
        metric is defined.
    """
    names = [_verbatim(name) for name in classes]
    figures: dict[str, Figure] = {}
    # With one class alone there is no trade-off to draw.
    if len(classes) == 2 and len(np.unique(scored.labels_N)) == 2:
        others = {_verbatim(title): rival for title, rival in (rivals or {}).items()}
        figures["precision_recall"] = _precision_recall(scored, names, metrics["average_precision"], others)
        figures["roc"] = _roc(scored, names, metrics["auroc"], others)
    figures["calibration"] = _calibration(scored, metrics["ece"], n_bins)
    figures["confusion"] = _confusion(scored, names)
    if len(classes) == 2:
        figures["scores"] = _scores(scored, names)
    for key, slicing in (slices or {}).items():
        shown = [part for part in slicing.get("slices", []) if _drawable(part["metrics"])]
        if shown:
            figures[f"by_{key}"] = _by_slice(slicing["title"], shown, joined=key in ("length", "identity"))
    return figures


def differences_figure(content: Mapping[str, Any]) -> Figure:
    """Draw the differences of a comparison with their intervals, a panel for each metric."""
    pairs, metrics = content["pairs"], list(content["pairs"][0]["difference"])
    figure = Figure(figsize=(3.1 * len(metrics) + 1.6, 1.5 + 0.45 * len(pairs)), dpi=120, layout="constrained")
    figure.suptitle(
        f"Difference to {_verbatim(content['reference'])} on {content['n_proteins']:,} proteins", fontsize=10
    )
    places = np.arange(len(pairs), dtype=float)
    panels = figure.subplots(1, len(metrics), sharex=True, sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, metrics, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.axvline(0, color=_GREY, linestyle="--", linewidth=1)
        for place, pair in zip(places, pairs, strict=True):
            estimate = pair["difference"][name]
            if estimate["value"] is not None:
                ends = [estimate["value"] if estimate[end] is None else estimate[end] for end in ("low", "high")]
                axes.plot(ends, [place, place], color=_BLUE)
                axes.plot(estimate["value"], place, "o", color=_BLUE, markersize=5)
        axes.set(xlabel=METRICS[name][0] if name in METRICS else name, ylim=(len(pairs) - 0.5, -0.5))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(labelsize="small")
    figure.axes[0].set_yticks(places, [_verbatim(pair["run"][-32:]) for pair in pairs], fontsize="small")
    return figure


def png(figure: Figure) -> bytes:
    """Draw a figure as PNG, on white."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def svg(figure: Figure) -> bytes:
    """Draw a figure as SVG without a background; letters are outlines, so that it looks the same everywhere."""
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "tfclass"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return stream.getvalue()


def _verbatim(text: str) -> str:
    # Between dollar signs matplotlib expects a formula.
    return text.replace("$", r"\$")


def _axes(title: str, x: str, y: str, *, square: bool = True) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 4.6) if square else (6.4, 4.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _with_interval(name: str, estimate: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return f"{name} undefined"
    interval = "" if estimate["low"] is None else f" [{estimate['low']:.3f}, {estimate['high']:.3f}]"
    return f"{name} {estimate['value']:.3f}{interval}"


def _precision_recall(
    scored: Scored, classes: Sequence[str], estimate: Mapping[str, Any], rivals: Mapping[str, Scored]
) -> Figure:
    figure, axes = _axes(f"Precision and recall of {classes[1]}", "recall", "precision")
    for (title, rival), color in zip(rivals.items(), _RIVALS, strict=False):
        precision, recall, _ = precision_recall_curve(rival.labels_N == 1, rival.probability_NC[:, 1])
        axes.plot(recall, precision, color=color, linewidth=1, label=title, drawstyle="steps-post")
    precision, recall, _ = precision_recall_curve(scored.labels_N == 1, scored.probability_NC[:, 1])
    label = _with_interval("model, AP", estimate)
    axes.plot(recall, precision, color=_BLUE, linewidth=1.8, label=label, drawstyle="steps-post")
    prevalence = float((scored.labels_N == 1).mean())
    axes.axhline(prevalence, color=_GREY, linestyle="--", label=f"chance (prevalence {prevalence:.3f})")
    calls = scored.calls_N == 1
    if calls.any():
        hits = (calls & (scored.labels_N == 1)).sum()
        at = (hits / (scored.labels_N == 1).sum(), hits / calls.sum())
        axes.plot(*at, "o", color=_BLUE, label=f"model at its threshold, {scored.threshold:.3f}")
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03))
    axes.legend(loc="lower left", frameon=False, fontsize="small")
    return figure


def _roc(scored: Scored, classes: Sequence[str], estimate: Mapping[str, Any], rivals: Mapping[str, Scored]) -> Figure:
    figure, axes = _axes(f"ROC of {classes[1]}", "false positive rate", "true positive rate")
    for (title, rival), color in zip(rivals.items(), _RIVALS, strict=False):
        false_rate, true_rate, _ = roc_curve(rival.labels_N == 1, rival.probability_NC[:, 1])
        axes.plot(false_rate, true_rate, color=color, linewidth=1, label=title)
    false_rate, true_rate, _ = roc_curve(scored.labels_N == 1, scored.probability_NC[:, 1])
    axes.plot(false_rate, true_rate, color=_BLUE, linewidth=1.8, label=_with_interval("model, AUROC", estimate))
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", label="chance")
    axes.set(xlim=(-0.01, 1), ylim=(0, 1.02))
    axes.legend(loc="lower right", frameon=False, fontsize="small")
    return figure


def _calibration(scored: Scored, estimate: Mapping[str, Any], n_bins: int) -> Figure:
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
    counts_CC = confusion(scored)
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


def _write_counts(axes: Axes, counts_CC: IntArray, shares_CC: FloatArray) -> None:
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
    # On white, for a threshold may run behind it.
    axes.legend(loc="upper center", framealpha=1, edgecolor="none")
    return figure


def _drawable(metrics: Estimates | None) -> bool:
    return metrics is not None and any(metrics[name]["value"] is not None for name in _SLICED)


def _by_slice(title: str, parts: Sequence[Mapping[str, Any]], *, joined: bool) -> Figure:
    figure = Figure(figsize=(6.4, 5.6), dpi=120, layout="constrained")
    both = figure.subplots(2, 1, sharex=True)
    figure.suptitle(f"By {_verbatim(title)}")
    places = np.arange(len(parts), dtype=np.float64)
    rival = any("top_hit" in part for part in parts)
    shift = np.float64(0.06 if rival else 0.0)
    for axes, metric in zip(both, _SLICED, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        _with_bars(axes, places - shift, [p["metrics"][metric] for p in parts], "model", _BLUE, joined)
        if rival:
            estimates = [part["top_hit"][metric] for part in parts]
            _with_bars(axes, places + shift, estimates, "homology search, top hit", _ORANGE, joined)
        shares = [part["prevalence"] for part in parts]
        if metric == "average_precision" and None not in shares:
            axes.plot(places, shares, "_", color=_GREY, markersize=22, label="prevalence (chance)")
        axes.set(ylabel=METRICS[metric][0], ylim=(min(0, axes.get_ylim()[0]), 1.03))
        axes.grid(axis="y", color=_GREY, alpha=0.25, linewidth=0.6)
    # Above the axes, where no value can lie.
    both[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize="small")
    both[1].set_xlabel(_verbatim(title))
    both[1].set_xticks(places, [f"{_wrapped(part['label'])}\nn {part['n']:,}" for part in parts], fontsize="small")
    return figure


def _with_bars(
    axes: Axes,
    places: FloatArray,
    estimates: Sequence[Mapping[str, Any]],
    label: str,
    color: str,
    joined: bool,
) -> None:
    kept = [(x, e) for x, e in zip(places, estimates, strict=True) if e["value"] is not None]
    values = np.array([e["value"] for _, e in kept])
    low, high = (np.array([e["value"] if e[end] is None else e[end] for _, e in kept]) for end in ("low", "high"))
    # A percentile interval need not hold the value itself.
    bars = np.maximum([values - low, high - values], 0)
    line = "-" if joined else "none"
    x = [place for place, _ in kept]
    axes.errorbar(x, values, bars, color=color, marker="o", markersize=4, capsize=3, linestyle=line, label=label)


def _wrapped(label: str) -> str:
    short = label if len(label) <= 24 else f"{label[:23]}…"
    return _verbatim("\n".join(textwrap.wrap(short, 14)))
