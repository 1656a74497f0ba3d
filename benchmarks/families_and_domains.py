"""Score the families and domains that a model predicts, for proteins of clusters that it was not trained on.

    python benchmarks/families_and_domains.py [--model tf-bilstm]

Reads ``plant_families.tsv.gz``, ``dbd_regions.tsv.gz`` and ``corpus.tsv.gz`` from the folder that TFCLASS_REAL_DATA
names. Families are scored by macro-F1 over the families of the test split, three times: with the names that the table
has; with those that ``recipes/tf-bilstm/rules.yaml`` gives them (LOB is LBD there; NA, an unknown family, is left out);
and then without CIS-BP's names of a domain that PlantTFDB, whose names the others are, divides into families: nobody
can know which of both a protein has. Names that the model gives and the table lacks count as wrong. Beside the model
stands the name of the most similar protein of the table's training split (MMseqs2, by bit score), given the same three
ways. Domains are scored by residue, with the threshold of ``tfclass predict``. The last table is of the column
``family`` of ``tfclass predict``, which profiles fill as well, for the transcription factors of ``corpus.tsv.gz`` that
have a name there.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import f1_score

from tfclass.bundle.bundle import DEFAULT, Bundle, find_bundle, load_bundle
from tfclass.channels.network import domain_ranges
from tfclass.inference.predictor import Predictor
from tfclass.models.forward import MAX_RESIDUES, Scores, scores_of
from tfclass.search.mmseqs import SENSITIVITY, search
from tfclass.sequences.alphabet import Alphabet, clean
from tfclass.sequences.fasta import Record

sys.path.append(str(Path(__file__).parents[1] / "recipes" / "tf-bilstm"))
from rules import read_rules  # noqa: E402

Tokens = list[npt.NDArray[np.uint8]]

# MYB and MYB_related; HD-ZIP, TALE, WOX, HB-PHD and HB-other; MIKC_MADS and M-type_MADS.
BROAD = ("Myb/SANT", "Homeodomain", "MADS")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--split", default="test")
    arguments = parser.parse_args()
    if not os.environ.get("TFCLASS_REAL_DATA"):
        print("TFCLASS_REAL_DATA does not name the folder with the real proteins; nothing to score")
        sys.exit(0)
    data = Path(os.environ["TFCLASS_REAL_DATA"])
    bundle = load_bundle(find_bundle(arguments.model))
    families(bundle, data, arguments.split)
    domains(bundle, data, arguments.split)
    named(bundle, data, arguments.split)


def families(bundle: Bundle, data: Path, split: str) -> None:
    plants, training = (read(data / "plant_families.tsv.gz", name) for name in (split, "train"))
    logits_NK = scored(bundle, plants["sequence"]).family_NK
    if logits_NK is None:
        sys.exit(f"families_and_domains: found no families in {bundle.name}; expected a model that names them")
    predicted = np.array(bundle.config.families)[logits_NK.argmax(axis=1)]
    nearest_N = nearest(list(plants["sequence"]), list(training["sequence"]))
    rules = read_rules()

    def narrow(given: str) -> str:
        return "" if given in BROAD else rules.family_of(given)

    print(f"families, {len(plants)} plant transcription factors of split {split}: macro-F1, accuracy")
    print(f"{'':44} {'the model':<15} nearest training protein")
    namings: dict[str, Callable[[str], str]] = {
        "as given": str,
        "by one name": rules.family_of,
        "no broad name": narrow,
    }
    for how, naming in namings.items():
        known = np.array([naming(given) for given in plants["label"]])
        # A protein without a homologue (-1) has no name either.
        names = np.array([*(naming(given) for given in training["label"]), ""])
        scored_N = known != ""
        counts = f"{len(set(known[scored_N]))} families, {scored_N.sum()} proteins"
        model, homology = (scores(known[scored_N], given[scored_N]) for given in (predicted, names[nearest_N]))
        print(f"  {how:<14} {counts:<27} {model:<15} {homology}")


def scores(known: npt.NDArray[np.str_], predicted: npt.NDArray[np.str_]) -> str:
    macro = f1_score(known, predicted, labels=sorted(set(known)), average="macro")
    return f"{macro:.3f}, {(known == predicted).mean():.3f}"


def nearest(queries: Sequence[str], targets: Sequence[str]) -> npt.NDArray[np.int64]:
    hits = search(tokens(queries), tokens(targets), sensitivity=SENSITIVITY)
    best = hits.sort_values("bits", ascending=False, kind="stable").drop_duplicates("query")
    return best.set_index("query")["target"].reindex(range(len(queries)), fill_value=-1).to_numpy(np.int64)


def domains(bundle: Bundle, data: Path, split: str) -> None:
    regions = read(data / "dbd_regions.tsv.gz", split)
    sequences = list(dict.fromkeys(regions["sequence"]))
    logits = scored(bundle, sequences).domains
    if logits is None:
        sys.exit(f"families_and_domains: found no domains in {bundle.name}; expected a model that places them")
    predicted, inside = [], []
    for sequence, logit_L in zip(sequences, logits, strict=True):
        known = regions[regions["sequence"] == sequence]
        predicted.append(marked(domain_ranges(logit_L), len(sequence)))
        inside.append(marked(zip(known["start"], known["end"], strict=True), len(sequence)))
    predicted_L, inside_L = np.concatenate(predicted), np.concatenate(inside)
    both = (predicted_L & inside_L).sum()
    print(f"domains, {len(regions)} in {len(sequences)} transcription factors of split {split}")
    print(f"  {both / predicted_L.sum():.1%} of the predicted residues lie in a domain")
    print(f"  {both / inside_L.sum():.1%} of the residues in domains are predicted")


def named(bundle: Bundle, data: Path, split: str) -> None:
    rules = read_rules()
    corpus = {name: read(data / "corpus.tsv.gz", name).query("label == 'TF'") for name in (split, "train")}
    proteins, training = (frame.assign(name=rules.families_of(frame)).query("name != ''") for frame in corpus.values())
    nearest_N = nearest(list(proteins["sequence"]), list(training["sequence"]))
    of_nearest = np.array([*training["name"], ""])[nearest_N]
    records = (Record(i, "", s) for i, s in zip(proteins["id"], proteins["sequence"], strict=True))
    # What is not predicted has no family: all are transcription factors here.
    rows = list(Predictor(bundle, threshold=0.0).predict(records))
    shown = np.array([row.family or "" for row in rows])
    known = proteins["name"].to_numpy(dtype=str)
    kingdom = proteins["kingdom"]
    groups = {"bacteria, archaea": kingdom.isin(["Bacteria", "Archaea"]), "plants": kingdom == "Viridiplantae"}
    groups["others"] = ~groups["bacteria, archaea"] & ~groups["plants"]
    print(f"families of all kingdoms, split {split}: macro-F1, accuracy; and how many of those named are right")
    for name, mask in groups.items():
        in_N = mask.to_numpy()
        right = (known == shown)[in_N & (shown != "")].mean()
        counts = f"{len(set(known[in_N]))} families, {in_N.sum()} proteins"
        model, homology = (scores(known[in_N], given[in_N]) for given in (shown, of_nearest))
        print(f"  {name:<18} {counts:<27} {model}  {right:.3f}   nearest training protein {homology}")


def read(path: Path, split: str) -> pd.DataFrame:
    frame = pd.read_csv(path, sep="\t", keep_default_na=False)
    return frame.loc[frame["split"] == split]


def scored(bundle: Bundle, sequences: Iterable[str]) -> Scores:
    return scores_of(bundle.model, tokens(sequences, bundle.alphabet), MAX_RESIDUES)


def tokens(sequences: Iterable[str], alphabet: Alphabet | None = None) -> Tokens:
    alphabet = alphabet or Alphabet()
    return [clean(sequence, alphabet).tokens for sequence in sequences]


def marked(ranges: Iterable[tuple[int, int]], length: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(length, dtype=bool)
    for start, end in ranges:
        mask[start - 1 : end] = True
    return mask


if __name__ == "__main__":
    main()
