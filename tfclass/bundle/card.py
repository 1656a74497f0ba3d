"""The model card that goes with every bundle: what it was trained on, how well it did, what it is not for."""

from tfclass.bundle.bundle import Bundle

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
rarer, as in a whole proteome, fewer of the called proteins are right. Labels are only as good as their sources. A
protein that is unlike all of the training set may get a confident answer all the same.
"""


EVIDENCE_SECTION = "\n## Evidence\n"

_EVIDENCE = """
Put beside the network by `tfclass model attach`, after what stands above was written:

{channels}

Each is read alone (`profile`, `homology`), and all with the network (`combined`), by a logistic regression fitted on
validation.

| evidence | threshold | false discoveries there | recall there |
|---|---|---|---|
{rows}
"""
_PROFILES = "* `profile`: {profiles:,} profile hidden Markov models of {states:,} states, made from the training split."
_REFERENCE = """* `homology`: a search by MMseqs2 among {proteins:,} proteins of the training split, {positives:,} of
  them {positive}. Their sequences are part of this bundle."""


def evidence_section(bundle: Bundle) -> str:
    """Write what the card of a bundle with further channels says of them, on the validation split."""
    channels, rows = [], []
    if bundle.profiles is not None:
        channels.append(_PROFILES.format(profiles=len(bundle.profiles.profiles), states=bundle.profiles.states))
    if bundle.reference is not None:
        proteins, positives = len(bundle.reference.ids), int(bundle.reference.labels.sum())
        channels.append(_REFERENCE.format(proteins=proteins, positives=positives, positive=bundle.classes[1]))
    for combiner in bundle.combiners.values():
        threshold = combiner.threshold
        at = min(combiner.operating_points, key=lambda point: abs(point.threshold - threshold))
        rows.append(f"| {combiner.reading} | {threshold:.4f} | {at.fdr:.1%} | {at.recall:.1%} |")
    return EVIDENCE_SECTION + _EVIDENCE.format(channels="\n".join(channels), rows="\n".join(rows))


def model_card(bundle: Bundle) -> str:
    """Write the card of a trained model.

    Parameters
    ----------
    bundle : Bundle
        With the provenance that `tfclass.pipelines` records.

    Returns
    -------
    str
        Markdown.
    """
    facts = bundle.provenance
    counts = facts["class_counts_train"]
    total = sum(counts.values())
    scores = (f"| {name} | {'undefined' if v is None else f'{v:.4f}'} |" for name, v in facts["validation"].items())
    threshold = "none: the likeliest class is called" if bundle.threshold is None else f"{bundle.threshold:.4f}"
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
