"""What would a random split have scored against a split by clusters, with nothing learned in between?

The same proteins, shares and seed; only who is tested differs. Two baselines that need no training worth the name: a
logistic regression on k-mers of one to three residues, and the label of MMseqs2's best hit among the training proteins.
Needs the labelled corpus in the folder that TFCLASS_REAL_DATA names, and minutes of MMseqs2.

Usage: python benchmarks/split_inflation.py [--seed 0] [--threads 1]
"""

import argparse
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score, matthews_corrcoef

from tfclass.config import CorpusConfig, SplitConfig
from tfclass.data.curation import AuditConfig, curation_config
from tfclass.data.leakage import above_limit
from tfclass.data.split import assign_splits, select_split
from tfclass.data.table import LabelledProteins, read_table
from tfclass.evaluation.baselines import Baseline, kmer_regression, top_hit
from tfclass.evaluation.homologues import find_homologues
from tfclass.search.mmseqs import MAX_E_VALUE
from tfclass.sequences.alphabet import Alphabet

POLICIES = ("cluster", "random")


class Outcome(NamedTuple):
    """Scores of one split by baseline and name, and the share of test proteins above the limit of an audit."""

    scores: dict[str, dict[str, float]]
    near: float
    n_test: int


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    folder = os.environ.get("TFCLASS_REAL_DATA")
    if not folder:
        print("TFCLASS_REAL_DATA does not name a folder with corpus.tsv.gz; nothing to compare")
        sys.exit(0)
    path = str(Path(folder) / "corpus.tsv.gz")
    proteins = read_table(CorpusConfig.default(path=path), Alphabet())
    outcomes = {}
    for policy in POLICIES:
        split = assign_splits(proteins, SplitConfig.default(policy=policy, seed=options.seed), path)
        outcomes[policy] = outcome(split, path, options.threads)
    print_table(outcomes)


def outcome(proteins: LabelledProteins, path: str, threads: int) -> Outcome:
    """Score both baselines on one split."""
    train, valid, test = (select_split(proteins, name, path) for name in ("train", "valid", "test"))
    homologues = find_homologues(train, test, threads=threads)
    if homologues.hits is None:
        sys.exit(homologues.reason)
    baselines = {
        "logistic regression on 1-3-mers": kmer_regression(train, valid, test),
        "MMseqs2's best hit": top_hit(train, test, homologues),
    }
    kin = homologues.hits.loc[homologues.hits["e_value"] < MAX_E_VALUE]
    near = len(set(above_limit(kin, curation_config(AuditConfig, "audit"))["query"])) / len(test.labels)
    return Outcome({name: scores(b, test) for name, b in baselines.items()}, near, len(test.labels))


def scores(baseline: Baseline, test: LabelledProteins) -> dict[str, float]:
    """Score a baseline by scikit-learn."""
    positive, score = test.labels == 1, baseline.scores_NC[:, 1]
    predicted = score >= (baseline.threshold if baseline.threshold is not None else np.inf)
    return {"AP": float(average_precision_score(positive, score)), "MCC": float(matthews_corrcoef(positive, predicted))}


def print_table(outcomes: dict[str, Outcome]):
    """Print a Markdown table, a row for each baseline and score."""
    cluster, random = (outcomes[policy] for policy in POLICIES)
    print(f"| test split | by clusters ({cluster.n_test:,} proteins) | at random ({random.n_test:,}) | flattery |")
    print("|---|---|---|---|")
    for name, own in cluster.scores.items():
        for score, value in own.items():
            other = random.scores[name][score]
            print(f"| {name}, {score} | {value:.3f} | {other:.3f} | {other - value:+.3f} |")
    limit = curation_config(AuditConfig, "audit")
    text = f"with a training protein above {limit.identity:.0%} identity, {limit.coverage:.0%} coverage"
    print(f"| {text} | {cluster.near:.1%} | {random.near:.1%} | |")


if __name__ == "__main__":
    main()
