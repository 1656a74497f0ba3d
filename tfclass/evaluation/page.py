"""The report as a page: one HTML file that needs nothing else, made from the report's content and figures."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from tfclass.data.split import FLATTERS
from tfclass.evaluation.conclusions import DECISIVE
from tfclass.evaluation.content import ReportContent, to_json
from tfclass.evaluation.formats import Footnotes, display_name, interval, percent, shares, signed, three
from tfclass.evaluation.metrics import METRICS
from tfclass.evaluation.mistakes import CONTEXT, Mistake
from tfclass.sequences.identifiers import entry_link

_PICTURES = {
    "precision_recall": "Precision against recall at every threshold; dashed: the prevalence, which chance reaches",
    "roc": "True against false positive rate at every threshold; the diagonal is chance",
    "calibration": "Observed frequency against the probability stated, in bins of equal width; dots by their proteins",
    "confusion": "Proteins by true and predicted class; shares are of the true class",
    "scores": "Proteins by probability, on a logarithmic scale",
    "by_identity": "By identity to the nearest training homologue; bars are intervals over clusters",
    "by_length": "By length in residues; bars are intervals over clusters",
    "by_kingdom": "By kingdom; bars are intervals over clusters",
}
# For two classes, and for more.
_HEADLINE = (
    ("average_precision", "auroc", "mcc", "f1", "precision", "recall"),
    ("average_precision", "mcc", "f1", "f1_weighted", "balanced_accuracy", "top_3_accuracy"),
)
_BY_SUBGROUP = (
    ("average_precision", "mcc", "f1", "precision", "recall"),
    ("average_precision", "mcc", "f1", "f1_weighted", "balanced_accuracy"),
)


def render_page(content: ReportContent, figures: Mapping[str, bytes]) -> str:
    """Return the page as HTML; every string of the content is escaped, figures are SVG by name."""
    template = resources.files("tfclass.evaluation").joinpath("report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {each.__name__: each for each in (display_name, interval, percent, shares, signed, three)}
    environment.filters |= {"count": "{:,}".format, "general": "{:g}".format}
    corpus, several = content.corpus, not content.binary
    return environment.from_string(template).render(
        content=content,
        style=Markup(resources.files("tfclass.io").joinpath("page.css").read_text(encoding="utf-8")),  # noqa: S704 - ours
        title=f"{content.bundle.name} on {corpus.name}, {corpus.split} split",
        sample=_sample(content),
        split_policy=FLATTERS if corpus.split_policy == "random" else corpus.split_policy,
        headline=[name for name in _HEADLINE[several] if name in content.metrics],
        by_subgroup=_BY_SUBGROUP[several],
        decisive=DECISIVE,
        pictures=_PICTURES,
        images={name: base64.b64encode(svg).decode("ascii") for name, svg in figures.items()},
        configuration=json.dumps(to_json(content)["configuration"], indent=1, ensure_ascii=False),
        metrics=METRICS,
        titles=_titles,
        shown_context=_shown_context,
        Footnotes=Footnotes,
        entry_link=entry_link,
    )


def _titles(names: Iterable[str], prefix: str = "") -> list[str]:
    return [f"{prefix}{METRICS[name].title}" for name in names]


def _shown_context(proteins: Sequence[Mistake]) -> list[str]:
    return [column for column in CONTEXT if any(getattr(protein, column) for protein in proteins)]


def _sample(content: ReportContent) -> str:
    """Describe the sample of a table: proteins and positives."""
    text = f"{content.n_proteins:,} proteins of the {content.corpus.split} split"
    if not content.binary:
        return f"{text}, {len(content.class_counts)} classes"
    return f"{text}, {percent(content.prevalence)} {list(content.class_counts)[1]}"
