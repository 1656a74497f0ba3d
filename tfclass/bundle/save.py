"""Write a bundle: its folder, and its model card with training data, validation scores and limits."""

import hashlib
from pathlib import Path

import safetensors.torch

from tfclass.bundle.bundle import MAX_BYTES, Bundle, check_stacked
from tfclass.bundle.description import CARD, DESCRIPTION, WEIGHTS, write_description
from tfclass.channels.registry import CHANNELS
from tfclass.errors import BundleError
from tfclass.io.folders import FolderKind, whole_folder
from tfclass.limits import MAX_PACKED_BYTES, in_words

BUNDLE_FOLDER = FolderKind(
    DESCRIPTION,
    ("schema_version", "files"),
    lambda _: (WEIGHTS, CARD, *(channel.file for channel in CHANNELS.values())),
)
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

Each can be used alone, and all with the network (`combined`), by a logistic regression fitted on validation.

| channel | threshold | false discoveries there | recall there |
|---|---|---|---|
{rows}
"""


def save_bundle(bundle: Bundle, folder: Path, card: str) -> str:
    """Write a bundle with its model card; return its digest. One there is replaced once the new one is complete.

    Raises
    ------
    BundleError
        Channels and regressions do not fit together, or `load_bundle` would refuse it: a name or value that is not
        allowed, a file too large.
    OutputError
        The folder cannot be written.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in bundle.model.state_dict().items()}
    files = {WEIGHTS: safetensors.torch.save(weights), CARD: card.encode()}
    files |= {channel.file: channel.to_bytes() for channel in bundle.channels.values()}
    check_stacked(bundle, bundle.channels, bundle.name)
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    description, digest = write_description(bundle, checksums, str(folder / DESCRIPTION))
    for name, content in files.items():
        most = MAX_BYTES.get(name, MAX_PACKED_BYTES)
        if len(content) > most:
            raise BundleError(f"{folder}: {name} has {in_words(len(content))}; at most {in_words(most)} are allowed")
    with whole_folder(folder, BUNDLE_FOLDER) as building:
        for name, content in files.items():
            (building / name).write_bytes(content)
        (building / DESCRIPTION).write_bytes(description)
    return digest


def channels_section(bundle: Bundle) -> str:
    """Write the part of a card about channels beside the network, with their rates on the validation split."""
    channels = [f"* `{name}`: {channel.describe()}." for name, channel in bundle.channels.items()]
    rows = []
    for name, stacking in bundle.stacked.items():
        threshold = stacking.threshold
        at = min(stacking.operating_points, key=lambda point: abs(point.threshold - threshold))
        rows.append(f"| {name} | {threshold:.4f} | {at.fdr:.1%} | {at.recall:.1%} |")
    return CHANNELS_SECTION + _CHANNELS.format(channels="\n".join(channels), rows="\n".join(rows))


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
        threshold += ", the greatest Matthews correlation on validation"
    return _TEMPLATE.format(
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
