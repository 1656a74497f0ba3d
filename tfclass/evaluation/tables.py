"""The tables of a report, as text in cells: what the page and the console both show."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tfclass.evaluation.comparisons import DECISIVE, signed, spoken

UNDEFINED = "–"
# Between a number and its sign, where no line may break.
_NARROW = "\u00a0"
Content = Mapping[str, Any]

# Name -> title, and what it means where that is not plain.
METRICS = {
    "average_precision": ("average precision", "area under precision and recall; chance is the prevalence"),
    "auroc": ("AUROC", "area under the ROC curve; chance is 0.5"),
    "recall_at_fdr_1": ("recall at 1 % FDR", "found when at most 1 % of the called are wrong, the cut chosen here"),
    "recall_at_fdr_5": ("recall at 5 % FDR", "found when at most 5 % of the called are wrong, the cut chosen here"),
    "mcc": ("MCC", "Matthews correlation of calls and labels; chance is 0"),
    "f1": ("F1", "harmonic mean of precision and recall"),
    "f1_weighted": ("F1, weighted", "mean over the classes by their size"),
    "precision": ("precision", "share of the called that are right"),
    "recall": ("recall", "share of the positives that are called"),
    "specificity": ("specificity", "share of the negatives that are not called"),
    "balanced_accuracy": ("balanced accuracy", "mean of the classes' recalls"),
    "top_3_accuracy": ("top-3 accuracy", "the true class is among the three likeliest"),
    "brier": ("Brier score", "mean squared error of the probability; lower is better"),
    "log_loss": ("log loss", "mean of −ln of the true class's probability; lower is better"),
    "ece": ("ECE", "mean gap of stated probability and observed frequency; lower is better"),
}
_HEADLINE = {
    2: ("average_precision", "auroc", "mcc", "f1", "precision", "recall"),
    3: ("average_precision", "mcc", "f1", "f1_weighted", "balanced_accuracy", "top_3_accuracy"),
}
_SLICE = {
    2: ("average_precision", "mcc", "f1", "precision", "recall"),
    3: ("average_precision", "mcc", "f1", "f1_weighted", "balanced_accuracy"),
}


class Cell(NamedTuple):
    """What stands in a table.

    Attributes
    ----------
    below : str
        In smaller letters under it: an interval.
    note : int
        Number of the footnote that explains it; 0 for none.
    link : str
        Address that the text leads to.
    """

    text: str
    below: str = ""
    note: int = 0
    link: str = ""


class Table(NamedTuple):
    """A table; `notes` are numbered from 1, the columns in `words` hold words, the others numbers."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    words: Sequence[int] = (0,)


class Notes:
    """Collects the reasons for what is undefined in a table, each once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> int:
        """Give the number of a note, adding it where it is new."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1

    def estimate(self, estimate: Mapping[str, Any] | None, *, sign: bool = False, reason: str = "") -> Cell:
        """Put an estimate into a cell: value and interval, or a dash and the reason."""
        if estimate is None or estimate["value"] is None:
            return Cell(UNDEFINED, note=self.number(reason or (estimate or {}).get("reason", "not computed")))
        write = signed if sign else three
        if estimate["low"] is None:
            return Cell(write(estimate["value"]), note=self.number(estimate["reason"]))
        return Cell(write(estimate["value"]), f"[{write(estimate['low'])}, {write(estimate['high'])}]")

    def value(self, value: float | None, reason: str) -> Cell:
        """Put a number into a cell, or a dash and the reason."""
        return Cell(UNDEFINED, note=self.number(reason)) if value is None else Cell(three(value))


def three(value: float) -> str:
    """Write a number with three decimals."""
    return f"{value:.3f}".replace("-", "−")


def percent(share: float | None) -> str:
    """Write a share as a percentage with one decimal; a dash for None."""
    return UNDEFINED if share is None else f"{100 * share:.1f}{_NARROW}%"


def level(content: Content) -> str:
    """Write the coverage of the intervals, such as ``95 %``."""
    return f"{100 * content['confidence']:g}{_NARROW}%"


def count(number: int) -> str:
    """Write a count with separators of thousands."""
    return f"{number:,}"


def shares(class_counts: Mapping[str, int]) -> str:
    """Write classes with their counts and shares, such as ``3 TF (30.0 %), 7 nonTF (70.0 %)``."""
    total = sum(class_counts.values())
    return ", ".join(f"{n:,} {name} ({percent(n / total if total else None)})" for name, n in class_counts.items())


def of_how_many(content: Content) -> str:
    """Say of how many proteins a table speaks, and how many of them are positive."""
    text = f"{content['n_proteins']:,} proteins of the {content['corpus']['split']} split"
    if content["prevalence"] is None:
        return f"{text}, {len(content['class_counts'])} classes"
    return f"{text}, {percent(content['prevalence'])} {list(content['class_counts'])[1]}"


def headline(content: Content) -> Table:
    """Show the model and the baselines, one below the other, with the model's lead over each."""
    names = [name for name in _HEADLINE[min(len(content["class_counts"]), 3)] if name in content["metrics"]]
    binary, notes, baselines = content["prevalence"] is not None, Notes(), _ran(content)
    head = ["", *(METRICS[name][0] for name in names), *(["prevalence"] if binary else [])]
    head += [f"lead in {title}" for title in DECISIVE.values()] if baselines else []
    prevalence = [Cell(percent(content["prevalence"]))] if binary else []
    own = [notes.estimate(content["metrics"][name]) for name in names]
    itself = [Cell("")] * (len(DECISIVE) if baselines else 0)
    rows = [[Cell(f"{content['bundle']['name']} (the model)"), *own, *prevalence, *itself]]
    for name, baseline in baselines.items():
        cells = [notes.estimate(baseline["metrics"].get(name)) for name in names]
        leads = [notes.estimate(baseline["difference"][name], sign=True) for name in DECISIVE]
        rows.append([Cell(name), *cells, *prevalence, *leads])
    caption = (
        f"The model and what it must beat, on the same {of_how_many(content)}. In brackets {level(content)} "
        f"intervals from {content['n_bootstrap']:,} resamples of {content['n_clusters']:,} homology clusters. "
        "The lead is the model's score less the baseline's, its interval that of the differences within each resample."
    )
    return Table(caption, head, rows, notes.texts)


def _ran(content: Content) -> dict[str, Content]:
    return {spoken(name): baseline for name, baseline in content["baselines"].items() if "metrics" in baseline}


def all_scores(content: Content, *, meanings: bool = True) -> Table:
    """Show every metric of the model and the baselines, one metric below the other, and what each means."""
    notes, baselines, rows = Notes(), _ran(content), []
    for name, estimate in content["metrics"].items():
        title, meaning = METRICS[name]
        others = [notes.estimate(baseline["metrics"].get(name)) for baseline in baselines.values()]
        rows.append([Cell(title), notes.estimate(estimate), *others, Cell(meaning)])
    for name, title in DECISIVE.items():
        leads = [notes.estimate(b["difference"][name], sign=True) for b in baselines.values()]
        rows += [[Cell(f"lead in {title}"), Cell(""), *leads, Cell("model less baseline")]] if baselines else []
    if content["prevalence"] is not None:
        same = [Cell(percent(content["prevalence"]))] * (1 + len(baselines))
        rows.append([Cell("prevalence"), *same, Cell("share of positives, the same for all")])
    head = ["metric", content["bundle"]["name"], *baselines, "meaning"]
    if not meanings:
        head, rows = head[:-1], [row[:-1] for row in rows]
    caption = f"All metrics on {of_how_many(content)}, with {level(content)} intervals."
    if content["prevalence"] is None:
        caption += " Means over the classes, each counting the same, where nothing else is said."
    return Table(caption, head, rows, notes.texts, words=(0, len(head) - 1) if meanings else (0,))


def slice_table(slicing: Content, content: Content) -> Table:
    """Show the metrics of each slice."""
    names = [name for name in _SLICE[min(len(content["class_counts"]), 3)] if name in content["metrics"]]
    notes = Notes()
    rivals = any(part.get("top_hit") for part in slicing["slices"])
    rows = []
    for part in slicing["slices"]:
        cells = [
            notes.estimate(part["metrics"] and part["metrics"][name], reason=_reason(part, name)) for name in names
        ]
        if rivals:
            top_hit = part.get("top_hit")
            cells.append(notes.estimate(top_hit and top_hit["mcc"], reason="" if top_hit else part["small"]))
        label = Cell(part["label"], note=notes.number(f"too few to judge by: {part['small']}") if part["small"] else 0)
        sizes = [Cell(count(part["n"])), Cell(count(part["n_clusters"]))]
        prevalence = [Cell(percent(part["prevalence"]))] if content["prevalence"] is not None else []
        rows.append([label, *sizes, *prevalence, *cells])
    head = [slicing["title"], "proteins", "clusters", *(["prevalence"] if content["prevalence"] is not None else [])]
    head += [METRICS[name][0] for name in names] + (["MCC of the top hit"] if rivals else [])
    return Table(f"By {slicing['title']}, of {of_how_many(content)}.", head, rows, notes.texts)


def _reason(part: Content, name: str) -> str:
    if part["metrics"] is None:
        return part["small"]
    return part["metrics"][name].get("reason", "")


def class_table(content: Content) -> Table:
    """Show each class against all others."""
    notes = Notes()
    rows = []
    for scores in content["classes"]:
        numbers = [
            notes.value(scores[name], scores["undefined"].get(name, "not defined on these proteins"))
            for name in ("precision", "recall", "f1", "average_precision")
        ]
        share = Cell(percent(scores["support"] / content["n_proteins"]))
        rows.append(
            [Cell(scores["name"]), Cell(count(scores["support"])), share, Cell(count(scores["called"])), *numbers]
        )
    head = ["class", "proteins", "prevalence", "called", "precision", "recall", "F1", "average precision"]
    return Table(f"Each class against all others, of {of_how_many(content)}.", head, rows, notes.texts)


def key_values(caption: str, pairs: Iterable[tuple[str, object]]) -> Table:
    """Show names and values."""
    rows = [[Cell(name), Cell(UNDEFINED if value in (None, "") else str(value))] for name, value in pairs]
    return Table(caption, (), rows, words=(0, 1))


def comparison_tables(content: Content) -> list[Table]:
    """Show a comparison: the runs with their scores, then each run's lead over the first."""
    notes, names = Notes(), list(content["runs"][0]["metrics"])
    titles = [METRICS[name][0] for name in names]
    binary = content["prevalence"] is not None
    positives = f", {percent(content['prevalence'])} {list(content['class_counts'])[1]}" if binary else ""
    rows = []
    for run in content["runs"]:
        words = [Cell(run["name"]), Cell(run["model"])]
        prevalence = [Cell(percent(content["prevalence"]))] if binary else []
        rows.append([*words, *(notes.estimate(run["metrics"][name]) for name in names), *prevalence])
    head = ["run", "model", *titles, *(["prevalence"] if binary else [])]
    caption = f"{content['n_proteins']:,} proteins in {content['n_clusters']:,} clusters{positives}"
    scores = Table(caption, head, rows, notes.texts, words=(0, 1))
    notes, rows = Notes(), []
    for pair in content["pairs"]:
        leads = [notes.estimate(pair["difference"][name], sign=True) for name in names]
        test, kappa = pair["mcnemar"], pair["kappa"]
        agreement = notes.value(kappa["value"], kappa.get("reason", ""))
        alone = f"{count(test['run_only'])} : {count(test['reference_only'])}"
        rows.append([Cell(pair["run"]), *leads, Cell(alone), Cell(f"{test['p_value']:.2g}"), agreement])
    head = ["run", *titles, "right alone", "McNemar p", "kappa"]
    caption = (
        f"Less {content['reference']}, with {level(content)} intervals of the paired differences over clusters; "
        "proteins that just one of the two calls rightly, run : reference"
    )
    return [scores, Table(caption, head, rows, notes.texts)]
