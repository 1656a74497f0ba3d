"""Compare a model with what others reach on the same proteins, none of them in its training split.

    python benchmarks/rivals.py [--model tf-bilstm] [--split test] [--sets test,ecoli] [--no-search]

Reads the tables in the folder that TFCLASS_REAL_DATA names. Beside the model stand the label of the best hit of MMseqs2
in the training split, a 1-3-mer regression, and the scores that the authors of DeepTFactor and DeepReg published.
Everybody decides by a threshold of their own, which for the model and the regression comes from the validation split.
Intervals are 95 %, by bootstrap over clusters. ``no homologue`` are the proteins for which MMseqs2 finds no hit with an
e-value below 0.001; ``hard negatives`` are nuclear and DNA- or RNA-binding proteins that are no transcription factors,
for which there is a false positive rate alone. The lead is that of the model's combined channel, resample by resample.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tfclass.bundle.bundle import DEFAULT, Bundle, find_bundle, load_bundle
from tfclass.bundle.scorer import Scorer, channels_of
from tfclass.config import CorpusConfig, EvaluationConfig
from tfclass.data.table import LabelledProteins, read_table
from tfclass.evaluation.baselines import kmer_regression, top_hit
from tfclass.evaluation.homologues import find_homologues
from tfclass.evaluation.metrics import resampled_metrics
from tfclass.evaluation.scored import Scored
from tfclass.search.mmseqs import MAX_E_VALUE
from tfclass.sequences.alphabet import Alphabet

TITLES = {
    "ecoli": ("E. coli", "ecoli_proteome.tsv.gz"),
    "paeruginosa": ("P. aeruginosa", "paeruginosa_proteome.tsv.gz"),
    "salbidoflavus": ("S. albidoflavus", "salbidoflavus_deeptfactor.tsv.gz"),
}
METRICS = {"average_precision": "AP", "mcc": "MCC", "precision": "precision", "recall": "recall", "ece": "ECE"}
TOP_HIT = "MMseqs2's top hit"
# DeepTFactor predicts a transcription factor from this score.
DEEPTFACTOR = 0.5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--split", default="test")
    parser.add_argument("--sets", default="corpus," + ",".join(TITLES))
    parser.add_argument("--no-search", action="store_true", help="leave out MMseqs2 and the regression")
    arguments = parser.parse_args()
    if not os.environ.get("TFCLASS_REAL_DATA"):
        print("TFCLASS_REAL_DATA does not name the folder with the real proteins; nothing to score")
        sys.exit(0)
    folder = Path(os.environ["TFCLASS_REAL_DATA"])
    bundle = load_bundle(find_bundle(arguments.model))
    corpus = read(folder / "corpus.tsv.gz")
    split_of = corpus.frame["split"].to_numpy()
    train, valid = (corpus.select(split_of == name) for name in ("train", "valid"))
    for name in arguments.sets.split(","):
        if name == "corpus":
            title, proteins = f"corpus, {arguments.split}", corpus.select(split_of == arguments.split)
        else:
            title, proteins = TITLES[name][0], read(folder / TITLES[name][1])
        models = dict(of_model(bundle, proteins))
        has_hit_N = None
        if not arguments.no_search:
            found = find_homologues(train, proteins, threads=os.cpu_count() or 1)
            models[TOP_HIT] = top_hit(train, proteins, found).scored(proteins.labels)
            models["1-3-mer regression"] = kmer_regression(train, valid, proteins).scored(proteins.labels)
            has_hit_N = np.zeros(len(proteins.labels), dtype=bool)
            if found.hits is not None:
                has_hit_N[found.hits.loc[found.hits["e_value"] < MAX_E_VALUE, "query"]] = True
        table(title, proteins, models, np.ones(len(proteins.labels), dtype=bool))
        if has_hit_N is not None and name == "corpus":
            table(f"{title}, no homologue", proteins, models, ~has_hit_N)
        if "deeptfactor" in proteins.frame:
            score_N = np.array([float(cell or "nan") for cell in proteins.frame["deeptfactor"]])
            known_N = np.isfinite(score_N)
            published = scored(np.nan_to_num(score_N), proteins.labels, DEEPTFACTOR)
            table(f"{title}, scored by DeepTFactor", proteins, models | {"DeepTFactor, published": published}, known_N)
        if name == "corpus":
            hard_negatives(title, proteins, models, folder)
            yeast(title, proteins, models, folder / "yeast_deepreg.tsv.gz")


def read(path: Path) -> LabelledProteins:
    config = CorpusConfig.default(
        name="proteins", path=str(path), classes=("nonTF", "TF"), aliases={"nonTF_hard": "nonTF"}
    )
    return read_table(config, Alphabet())


def of_model(bundle: Bundle, proteins: LabelledProteins) -> Iterator[tuple[str, Scored]]:
    default = Scorer(bundle).channel
    for channel in (default, *(name for name in channels_of(bundle) if name != default)):
        scorer = Scorer(bundle, channel)
        probability_NC = scorer.score(proteins.tokens).probability_NC
        yield f"{bundle.name}, {channel}", Scored(probability_NC, proteins.labels, scorer.decision_rule.threshold)


def scored(score_N: np.ndarray, labels_N: np.ndarray, threshold: float) -> Scored:
    return Scored(np.stack([1 - score_N, score_N], axis=1), labels_N, threshold, are_probabilities=False)


def table(title: str, proteins: LabelledProteins, models: dict[str, Scored], rows_N: np.ndarray) -> None:
    share = proteins.labels[rows_N].mean()
    print(f"\n{title}: {rows_N.sum():,} proteins, {share:.1%} TF")
    print(f"{'':28}" + "".join(f"{name:24}" for name in METRICS.values()))
    clusters_N = proteins.frame["cluster"].to_numpy(dtype=str)[rows_N]
    config = EvaluationConfig.default()
    found = {name: resampled_metrics(one.select(rows_N), clusters_N, config) for name, one in models.items()}
    rows = {name: each.estimates() for name, each in found.items()}
    if TOP_HIT in found:
        rows["lead over the top hit"] = next(iter(found.values())).minus(found[TOP_HIT])
    for name, estimates in rows.items():
        cells = [estimates.get(metric) for metric in METRICS]
        shown = ["" if e is None or e.value is None else f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for e in cells]
        print(f"{name:28}" + "".join(f"{cell:24}" for cell in shown), flush=True)


def hard_negatives(title: str, proteins: LabelledProteins, models: dict[str, Scored], folder: Path) -> None:
    given = pd.read_csv(folder / "corpus.tsv.gz", sep="\t", keep_default_na=False, usecols=["id", "label", "kingdom"])
    hard = given.loc[given["label"] == "nonTF_hard"]
    for kingdom, ids in {"all": hard["id"], "animals": hard.loc[hard["kingdom"] == "Metazoa", "id"]}.items():
        rows_N = proteins.frame["id"].isin(ids).to_numpy()
        print(f"\n{title}, hard negatives, {kingdom}: {rows_N.sum()} proteins; false positives")
        for name, one in models.items():
            false = int(one.predicted_N[rows_N].sum())
            print(f"{name:28}{false:5} {false / rows_N.sum():.3f}")


def yeast(title: str, proteins: LabelledProteins, models: dict[str, Scored], path: Path) -> None:
    published = pd.read_csv(path, sep="\t", keep_default_na=False).set_index("id")["deepreg"]
    rows_N = proteins.frame["id"].isin(published.index).to_numpy()
    predicted = (published.reindex(proteins.frame["id"]) == "TF").to_numpy(dtype=float)
    table(f"{title}, yeast", proteins, models | {"DeepReg, published": scored(predicted, proteins.labels, 0.5)}, rows_N)


if __name__ == "__main__":
    main()
