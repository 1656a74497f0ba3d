"""The model card of a bundle: Markdown with training data, validation scores and limits, under a head for the Hub."""

import re
from typing import Any

import yaml

from tfclass.bundle.bundle import Bundle
from tfclass.channels.stacking import COMBINED
from tfclass.channels.thresholds import OWN_THRESHOLD
from tfclass.errors import BundleError

_TEMPLATE = """# {name}

{purpose}

| | |
|---|---|
| network | `{network}`, {parameters:,} parameters |
| corpus | `{corpus}` (SHA-256 `{sha256}`) |
| split | by {split} |
| trained on | {n_train:,} proteins: {class_counts} |
| chosen on | {n_valid:,} validation proteins |
| best epoch | {best_epoch} of {epochs_run} |
| calibration | {calibration}, fitted on validation |
| threshold | {threshold} |
| made | {created} by tfclass {version} |

## On the validation split

These numbers chose the epoch, the calibration and the threshold, so they flatter the model. `tfclass evaluate` gives
the ones to quote.

| metric | value |
|---|---|
{scores}

## Limits

The probability is calibrated for the share of each class in the validation split; where transcription factors are
rarer, as in a whole proteome, fewer of the predicted proteins are. Labels are only as good as their sources. A
protein that is unlike all of the training set may get a confident answer all the same.
"""

CHANNELS_SECTION = "\n## Channels\n"

_CHANNELS = """
Put beside the network by `tfclass model attach`, after the text above was written:

{channels}

Each can be used alone, and all with the network (`combined`), by a logistic regression fitted on validation.{searched}

| channel | threshold | false discoveries expected there | recall expected there |
|---|---|---|---|
{rows}
"""

_SEARCHED = """
`combined` searches proteins to which the network gives log-odds of {:g} or more; for the others the network decides."""

# As the Hugging Face Hub reads it: YAML between two lines of three dashes.
_HEAD = re.compile(r"\A---\r?\n(.*?)^---\r?\n\s*", re.DOTALL | re.MULTILINE)
# The Hub's names of what has another here.
_HUB_METRICS = {"mcc": "matthews_correlation", "auroc": "roc_auc", "brier": "brier_score"}
_HUB_TASK = "text-classification"


def channels_section(bundle: Bundle) -> str:
    """Write the part of a card about channels beside the network, with their rates on the validation split."""
    prefilter = bundle.stacked[COMBINED].prefilter if COMBINED in bundle.stacked else None
    searched = "" if prefilter is None else _SEARCHED.format(prefilter)
    channels = [f"* `{name}`: {channel.describe()}." for name, channel in bundle.channels.items()]
    rows = []
    for name, stacking in bundle.stacked.items():
        threshold = stacking.threshold
        at = min(stacking.operating_points, key=lambda point: abs(point.threshold - threshold))
        rows.append(f"| {name} | {threshold:.4f} | {at.fdr:.1%} | {at.recall:.1%} |")
    return CHANNELS_SECTION + _CHANNELS.format(channels="\n".join(channels), rows="\n".join(rows), searched=searched)


def model_card(bundle: Bundle) -> str:
    """Write the card, in Markdown, of a trained model with the provenance that `tfclass.pipelines` records."""
    facts = bundle.provenance
    counts = facts["class_counts_train"]
    total = sum(counts.values())
    scores = (f"| {name} | {'undefined' if v is None else f'{v:.4f}'} |" for name, v in facts["validation"].items())
    threshold = "none: the likeliest class is predicted" if bundle.threshold is None else f"{bundle.threshold:.4f}"
    purpose = f"Gives the probability of each of {len(bundle.classes)} classes: {', '.join(bundle.classes)}."
    if bundle.threshold is not None:
        purpose = f"Gives the probability that a protein is {bundle.classes[1]} (against {bundle.classes[0]})."
        threshold += f", the {OWN_THRESHOLD}"
    card = _TEMPLATE.format(
        name=bundle.name,
        purpose=purpose,
        network=bundle.network,
        parameters=sum(p.numel() for p in bundle.model.parameters()),
        corpus=facts["corpus"]["name"],
        sha256=facts["corpus"]["sha256"],
        split=facts["corpus"]["split"],
        n_train=facts["n_train"],
        class_counts=", ".join(f"{count:,} {name} ({count / total:.1%})" for name, count in counts.items()),
        n_valid=facts["n_valid"],
        best_epoch=facts["best_epoch"],
        epochs_run=facts["epochs_run"],
        calibration=bundle.calibration.in_words(),
        threshold=threshold,
        created=facts["created"],
        version=facts["tfclass_version"],
        scores="\n".join(scores),
    )
    return with_head(bundle, card)


def with_head(bundle: Bundle, card: str) -> str:
    """Put a head above a card, with what the Hugging Face Hub shows and searches; what the card's own head says stays.

    Raises
    ------
    BundleError
        The head that it has is no mapping in YAML.
    """
    found = _HEAD.match(card)
    try:
        head = _head(bundle) | (yaml.safe_load(found[1]) if found else {})
        models = head.get("model-index")
        for model in models if isinstance(models, list) else []:
            if isinstance(model, dict):
                model["name"] = bundle.name
        text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=120)
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise BundleError(
            f"{bundle.name}, card: found a head that is no YAML mapping ({problem}); correct it"
        ) from None
    return f"---\n{text}---\n\n{without_head(card)}"


def without_head(card: str) -> str:
    """Return a card as a person reads it."""
    return _HEAD.sub("", card)


def _head(bundle: Bundle) -> dict[str, Any]:
    head: dict[str, Any] = {
        "library_name": "tfclass",
        "pipeline_tag": _HUB_TASK,
        "tags": ["biology", "protein", "protein-classification", bundle.network],
    }
    # Of a bundle that another program wrote, they may be anything.
    scores, corpus = (bundle.provenance.get(key) for key in ("validation", "corpus"))
    if not (isinstance(scores, dict) and isinstance(corpus, dict)):
        return head
    metrics = [
        {"type": _HUB_METRICS.get(name, name), "name": name.replace("_", " "), "value": round(value, 4)}
        for name, value in scores.items()
        if isinstance(value, float)
    ]
    corpus = str(corpus.get("name", "proteins"))
    result = {
        "task": {"type": _HUB_TASK, "name": "Protein classification"},
        "dataset": {"type": corpus, "name": corpus, "split": "validation"},
        "metrics": metrics,
    }
    return head | {
        "metrics": [metric["type"] for metric in metrics],
        "model-index": [{"name": bundle.name, "results": [result]}],
    }
