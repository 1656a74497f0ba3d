"""Compare the rules for the threshold on whole proteomes, whose share of TFs is not that of validation.

    python benchmarks/thresholds.py [--model tf-bilstm] [--channel combined]

Reads the proteomes in the folder that TFCLASS_REAL_DATA names. Each is scored once; then every rule decides, as
``tfclass predict`` with the options in the first column would.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from tfclass.bundle.bundle import DEFAULT, find_bundle, load_bundle
from tfclass.bundle.scorer import Scorer, channels_of
from tfclass.channels.thresholds import DecisionRule
from tfclass.config import EvaluationConfig
from tfclass.evaluation.metrics import all_metrics
from tfclass.evaluation.scored import Scored
from tfclass.inference.predictor import Predictor
from tfclass.sequences.fasta import Record

PROTEOMES = {
    "E. coli": "ecoli_proteome.tsv.gz",
    "P. aeruginosa": "paeruginosa_proteome.tsv.gz",
    "S. albidoflavus": "salbidoflavus_deeptfactor.tsv.gz",
}
# Options of ``tfclass predict``: threshold, prevalence; "true" stands for the share of the labels.
RULES: list[tuple[str | None, float | Literal["auto", "true"] | None]] = [
    (None, None),
    (None, "auto"),
    (None, "true"),
    ("fdr=0.1", None),
    ("fdr=0.05", None),
    ("fdr=0.05", "true"),
    ("recall=0.9", None),
]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--channel", default="")
    arguments = parser.parse_args()
    folder = os.environ.get("TFCLASS_REAL_DATA")
    if not folder:
        print("TFCLASS_REAL_DATA does not name the folder with the proteomes; nothing to score")
        sys.exit(0)
    bundle = load_bundle(find_bundle(arguments.model))
    channel = arguments.channel or channels_of(bundle)[-1]
    own = Scorer(bundle, channel).decision_rule
    for name, file in PROTEOMES.items():
        table = pd.read_csv(Path(folder) / file, sep="\t", keep_default_na=False)
        positive_N = (table["label"] == "TF").to_numpy()
        records = (Record(i, i, s) for i, s in zip(table["id"], table["sequence"], strict=True))
        # Provisional rows have the probabilities as they are calibrated.
        scorer = Predictor(bundle, channel=channel, prevalence="auto")
        window = list(records)
        rows = list(scorer.predict_window(window, [False] * len(window)))
        probability_N = np.array([row.probability for row in rows], dtype=np.float64)
        print(f"\n{name}: {len(table):,} proteins, {positive_N.mean():.1%} TF ({channel})")
        head = ("--threshold", "--prevalence", "at", "threshold", "predicted", "false", "FDR", "recall", "MCC", "ECE")
        print("{:12} {:12} {:>7} {:>9} {:>9} {:>6}  {:6} {:6} {:6} {}".format(*head))
        for rule, prevalence in RULES:
            print(line(own, probability_N, positive_N, rule, prevalence))


def line(
    own: DecisionRule,
    probability_N: np.ndarray,
    positive_N: np.ndarray,
    rule: str | None,
    prevalence: float | Literal["auto", "true"] | None,
) -> str:
    known = own.prevalence or 0.5
    share = float(positive_N.mean()) if prevalence == "true" else prevalence
    if share is None and rule in (None, "recall=0.9"):
        share = known
    chosen = own.choose(rule, share, probability_N)
    shown_NC = chosen.shown(np.stack([1 - probability_N, probability_N], axis=1))
    predicted_N = chosen.predict(shown_NC) == 1
    scored = Scored(shown_NC, positive_N.astype(np.int64), chosen.threshold)
    metrics = all_metrics(scored, EvaluationConfig.default().n_calibration_bins)
    false, found = int((predicted_N & ~positive_N).sum()), float(predicted_N[positive_N].mean())
    shown = f"{rule or '':12} {'' if prevalence is None else share if prevalence == 'auto' else f'{share:.4f}':12}"
    return (
        f"{shown} {chosen.prevalence or known:7.4f} {chosen.threshold:9.6f} {int(predicted_N.sum()):9} {false:6}  "
        f"{false / max(1, int(predicted_N.sum())):.3f}  {found:.3f}  {metrics['mcc']:.3f}  {metrics['ece']:.3f}"
    )


if __name__ == "__main__":
    main()
