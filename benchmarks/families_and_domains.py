"""How well a model names families and places domains, on proteins of clusters that it never saw.

    python benchmarks/families_and_domains.py [--model tf-bilstm]

Reads ``plant_families.tsv.gz`` and ``dbd_regions.tsv.gz`` from the folder that TFCLASS_REAL_DATA names. Families are
scored by macro-F1 over the families of the test split, three times: with the names that the table has; with those that
``conf/enrichment.yaml`` gives them (LOB is LBD there; NA, which says that the family is not known, is left out); and
then without CIS-BP's names of a domain that PlantTFDB, whose names the others are, divides into families: nobody can
know which of both a protein has. Names that the model gives and the table lacks count as wrong. Domains are scored by
residue, by the rule of ``tfclass predict``.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import f1_score

from tfclass.bundle.bundle import DEFAULT, Bundle, find_bundle, load_bundle
from tfclass.cli.profiles import read_rules
from tfclass.inference.domains import domain_ranges
from tfclass.networks.scoring import MAX_RESIDUES, Scores, scores_of
from tfclass.sequence.cleaning import clean

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


def families(bundle: Bundle, data: Path, split: str) -> None:
    plants = read(data / "plant_families.tsv.gz", split)
    logits_NK = scored(bundle, plants["sequence"]).family_NK
    if logits_NK is None:
        sys.exit(f"families_and_domains: found no families in {bundle.name}; expected a model that names them")
    names = np.array(bundle.config.families)[logits_NK.argmax(axis=1)]
    rules = read_rules(None)
    print(f"families, {len(plants)} plant transcription factors of split {split}")
    ours = [rules.name_of(name) for name in plants["label"]]
    narrow = ["" if given in BROAD else name for given, name in zip(plants["label"], ours, strict=True)]
    for how, given in (("as given", list(plants["label"])), ("by one name", ours), ("no broad name", narrow)):
        pairs = [(known, said) for known, said in zip(given, names, strict=True) if known]
        known, said = map(np.array, zip(*pairs, strict=True))
        macro = f1_score(known, said, labels=sorted(set(known)), average="macro")
        accuracy = (known == said).mean()
        print(
            f"  {how:<14} {len(set(known))} families, {len(known)} proteins: macro-F1 {macro:.3f}, {accuracy:.3f} right"
        )


def domains(bundle: Bundle, data: Path, split: str) -> None:
    regions = read(data / "dbd_regions.tsv.gz", split)
    sequences = list(dict.fromkeys(regions["sequence"]))
    logits = scored(bundle, sequences).domains
    if logits is None:
        sys.exit(f"families_and_domains: found no domains in {bundle.name}; expected a model that places them")
    called, inside = [], []
    for sequence, logit_L in zip(sequences, logits, strict=True):
        known = regions[regions["sequence"] == sequence]
        called.append(marked(domain_ranges(logit_L), len(sequence)))
        inside.append(marked(zip(known["start"], known["end"], strict=True), len(sequence)))
    called_L, inside_L = np.concatenate(called), np.concatenate(inside)
    both = (called_L & inside_L).sum()
    print(f"domains, {len(regions)} in {len(sequences)} transcription factors of split {split}")
    print(f"  {both / called_L.sum():.1%} of the residues called lie in a domain")
    print(f"  {both / inside_L.sum():.1%} of the residues in domains are called")


def read(path: Path, split: str) -> pd.DataFrame:
    frame = pd.read_csv(path, sep="\t", keep_default_na=False)
    return frame.loc[frame["split"] == split]


def scored(bundle: Bundle, sequences: Iterable[str]) -> Scores:
    tokens = [clean(sequence, bundle.vocabulary).tokens for sequence in sequences]
    return scores_of(bundle.model, tokens, MAX_RESIDUES)


def marked(ranges: Iterable[tuple[int, int]], length: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros(length, dtype=bool)
    for start, end in ranges:
        mask[start - 1 : end] = True
    return mask


if __name__ == "__main__":
    main()
