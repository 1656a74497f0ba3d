"""The report as a page: one HTML file that needs nothing else, made from the content of ``report.json`` and figures."""

import base64
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined

from tfclass.data.split import FLATTERS
from tfclass.evaluation.comparisons import spoken
from tfclass.evaluation.mistakes import CONTEXT, uniprot_link
from tfclass.evaluation.tables import (
    UNDEFINED,
    Cell,
    Notes,
    Table,
    all_scores,
    class_table,
    count,
    headline,
    key_values,
    of_how_many,
    percent,
    shares,
    slice_table,
    three,
)

Content = Mapping[str, Any]


class Picture(NamedTuple):
    """A figure on the page: its name, what is read out instead of it, and what stands under it."""

    name: str
    alt: str
    caption: str


_PICTURES = {
    "precision_recall": "Precision against recall at every threshold; dashed: the prevalence, which chance reaches",
    "roc": "True against false positive rate at every threshold; the diagonal is chance",
    "calibration": "Observed frequency against the probability stated, in bins of equal width; dots by their proteins",
    "confusion": "Proteins by true and called class; shares are of the true class",
    "scores": "Proteins by probability, on a logarithmic scale",
    "by_identity": "By identity to the nearest training homologue; bars are intervals over clusters",
    "by_length": "By length in residues; bars are intervals over clusters",
    "by_kingdom": "By kingdom; bars are intervals over clusters",
}


def render_page(content: Content, figures: Mapping[str, bytes]) -> str:
    """Make the page.

    Parameters
    ----------
    content : mapping
        Of ``report.json``.
    figures : mapping of str to bytes
        SVG by name, as the keys of `Report.figures`.

    Returns
    -------
    str
        HTML; every string of the content is escaped.
    """
    template = resources.files("tfclass.evaluation").joinpath("report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        content=content,
        title=f"{content['bundle']['name']} on {content['corpus']['name']}, {content['corpus']['split']} split",
        spoken=spoken,
        shares=shares(content["class_counts"]),
        left_out=[b for b in content["baselines"].values() if "left_out" in b],
        headline=headline(content),
        all_scores=all_scores(content),
        classes=class_table(content) if content["prevalence"] is None else None,
        pictures=_pictures(content, figures),
        images={name: base64.b64encode(svg).decode("ascii") for name, svg in figures.items()},
        slices=[slice_table(s, content) for s in content["slices"].values() if "slices" in s],
        slices_left_out=[s for s in content["slices"].values() if "left_out" in s],
        thresholds=_threshold_table(content) if content["thresholds"] else None,
        mistakes=[(kind, _mistakes_table(kind)) for kind in content["mistakes"]],
        splits=_splits_table(content),
        manifest=_manifest(content),
        leakage=_leakage_table(content["leakage"]),
        environment=_environment_table(content["environment"]),
        configuration=json.dumps(content["configuration"], indent=1, ensure_ascii=False),
    )


def _pictures(content: Content, figures: Mapping[str, bytes]) -> list[Picture]:
    of = of_how_many(content)
    return [Picture(name, f"{_PICTURES[name]}.", f"{_PICTURES[name]}. {of}.") for name in _PICTURES if name in figures]


def _threshold_table(content: Content) -> Table:
    notes, rows = Notes(), []
    for rule in content["thresholds"]:
        first = [Cell(rule["rule"]), Cell(rule["meaning"])]
        if "left_out" in rule:
            rows.append([*first, *(Cell(UNDEFINED, note=notes.number(rule["left_out"])) for _ in range(6))])
            continue
        nothing = "no protein was called"
        rates = [notes.value(rule[key], nothing) for key in ("precision", "fdr")]
        found = notes.value(rule["recall"], "no positive protein")
        counts = [Cell(count(rule["called"])), Cell(count(rule["true_positives"]))]
        rows.append([*first, Cell(f"{rule['threshold']:.4f}"), *counts, *rates, found])
    head = ["rule", "meaning", "threshold", "called", "rightly", "precision", "FDR", "recall"]
    caption = (
        f"What each rule for choosing a threshold does here: {of_how_many(content)}. No label of these proteins plays "
        "a part in the choice; `tfclass predict --threshold RULE` takes the same rules."
    )
    return Table(caption, head, rows, notes.texts, words=(0, 1))


def _mistakes_table(kind: Content) -> Table:
    proteins: Sequence[Content] = kind["proteins"]
    context = [column for column in CONTEXT if any(protein.get(column) for protein in proteins)]
    several = kind["key"] == "wrong_calls"
    head = ["protein", "probability", "length", "nearest training protein", "identity", "its label"]
    head += [*(["label", "call"] if several else []), *context]
    rows = []
    for protein in proteins:
        cells = [Cell(protein["id"], link=protein["url"] or "")]
        cells += [Cell(three(protein["probability"])), Cell(count(protein["length"])), *_nearest(protein["nearest"])]
        cells += [Cell(protein["label"]), Cell(protein["call"])] if several else []
        rows.append([*cells, *(Cell(protein.get(column) or UNDEFINED) for column in context)])
    caption = f"{kind['title']}: the {len(rows)} surest of {count(kind['total'])}."
    return Table(caption, head, rows, words=(0, 3, *range(5, len(head))))


def _nearest(protein: Content | None) -> list[Cell]:
    if protein is None:
        return [Cell(UNDEFINED)] * 3
    link = uniprot_link(protein["id"]) or ""
    return [Cell(protein["id"], link=link), Cell(percent(protein["identity"])), Cell(protein["label"])]


def _splits_table(content: Content) -> Table:
    rows = []
    for name, part in content["corpus"]["splits"].items():
        numbers = [Cell(count(part[key])) for key in ("n_proteins", "n_clusters", "residues")]
        counts = [Cell(count(n), percent(n / part["n_proteins"])) for n in part["class_counts"].values()]
        scored = " (scored here)" if name == content["corpus"]["split"] else ""
        rows.append([Cell(f"{name or 'no split'}{scored}"), *numbers, *counts])
    head = ["split", "proteins", "clusters", "residues", *content["class_counts"]]
    return Table("What the table holds, split by split.", head, rows)


def _manifest(content: Content) -> Table:
    corpus, bundle = content["corpus"], content["bundle"]
    threshold = "none: the likeliest class is called" if bundle["threshold"] is None else f"{bundle['threshold']:.6f}"
    same = "yes" if corpus["same_as_in_training"] else "no: its training split is not what the model was trained on"
    pairs = [
        ("table", corpus["path"]),
        ("its SHA-256 (ids, sequences, labels, splits, clusters)", corpus["sha256"]),
        ("the same table as in training", same),
        ("splits by", FLATTERS if corpus["split_policy"] == "random" else corpus["split_policy"]),
        ("model", f"{bundle['name']} ({bundle['network']})"),
        ("its SHA-256", bundle["sha256"]),
        ("made", bundle["created"]),
        ("MLflow run of its training", bundle["mlflow_run_id"]),
        ("evidence", bundle["evidence"]),
        ("threshold", threshold),
    ]
    return key_values("The data and the model.", pairs)


def _leakage_table(leakage: Content) -> Table | None:
    if "left_out" in leakage:
        return None
    pairs: list[tuple[str, object]] = [
        ("proteins with the same sequence as a training protein", count(leakage["identical_sequences"])),
        ("proteins in a cluster that has training proteins", count(leakage["shared_clusters"])),
    ]
    identity = leakage["identity"]
    if "left_out" not in identity:
        pairs += [
            ("without any training homologue", count(identity["n_without"])),
            ("with one", count(identity["n_with_homologue"])),
            ("median identity of those with one", percent(identity["median"])),
        ]
        pairs += [
            (f"identity above {100 * float(level):.0f}\u00a0%", f"{count(above['n'])} ({percent(above['share'])})")
            for level, above in identity["above"].items()
        ]
    return key_values(f"What the scored proteins share with the {count(leakage['n_train'])} training proteins.", pairs)


def _environment_table(environment: Content) -> Table:
    packages = ", ".join(f"{name} {version}" for name, version in environment.get("packages", {}).items())
    pairs = [(key.replace("_", " "), value) for key, value in environment.items() if key != "packages"]
    return key_values("The machine and the packages.", [*pairs, ("packages", packages)])
