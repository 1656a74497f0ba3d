"""Compare attributions, mutations and gates with known DNA-binding domains and residues.

    python benchmarks/attribution.py [--model tf-bilstm] [--split test] [--table data/demo/demo.tsv]

Reads ``dbd_regions.tsv.gz`` from the folder that TFCLASS_REAL_DATA names; with ``--table``, the transcription factors
of a table with the columns domain_start and domain_end. The first table has, as means over proteins with their standard
errors, the share of the positive attribution that lies in known domains, and how often the residue of the greatest
value does (the pointing game). ``uniform`` is the share of residues in domains; ``shuffled weights`` is the same
network with the values of every weight in random order. The second table has the log-odds of proteins whose residues
in or out of domains are shuffled: what the network knows from each part alone. The third table asks whether the
substitutions that cost most log-odds are those of residues known to bind DNA or zinc, or to hold the fold: the area
under the ROC curve among the residues of a domain. The last one, and a figure, are of the gates.
"""

import argparse
import copy
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from tfclass.bundle.bundle import DEFAULT, find_bundle, load_bundle
from tfclass.bundle.scorer import Scorer
from tfclass.interpretation.attribution import METHODS, Explained, integrated_gradients
from tfclass.interpretation.explanation import explain
from tfclass.models.network import Classifier
from tfclass.sequences.alphabet import AMINO_ACIDS, Alphabet
from tfclass.sequences.fasta import read_fasta
from tfclass.typing import BoolArray, FloatArray, TokenArray

# Residues over which values are averaged for a row of their own: about the span of a short motif.
SMOOTHED = 9
# Permutations of the residues of a part, whose log-odds are averaged.
N_PERMUTATIONS = 8
# Longer proteins take much time by occlusion, and tell no more.
MAX_LENGTH = 1000
# Of residues that bind zinc or DNA, or hold the fold, in the names of `dbd_regions.tsv.gz`: each group of the pattern.
ESSENTIAL = {
    # C. Pabo, E. Peisach, R. Grant, Annu. Rev. Biochem. 70 (2001), 10.1146/annurev.biochem.70.1.313.
    "zf-C2H2": ("the four zinc ligands", r"(C).{2,4}(C).{12}(H).{3,5}(H)"),
    # W. Gehring et al., Annu. Rev. Biochem. 63 (1994), 10.1146/annurev.bi.63.070194.002415: 48, 49, 51 and 53.
    "Homeodomain": ("W48, F49, N51, R53 of the recognition helix", r"(W)(F).(N).(R)"),
    # T. Ellenberger et al., Cell 71 (1992), 10.1016/0092-8674(92)90070-S: what binds DNA in GCN4.
    "bZIP_1": ("N, A, A, S or C, R of the basic region", r"(N)..(A)(A)..([SC])(R)"),
}
EXAMPLES = Path(__file__).parents[1] / "data" / "examples" / "proteins.fasta"
# Residues whose side chains touch the operator, counted from 0; M. Lewis et al., Science 271 (1996),
# 10.1126/science.271.5253.1247.
CONTACTS_OF_LACI = [number - 1 for number in (6, 7, 16, 17, 18, 21, 22, 25, 29)]
DNA_OF_LACI = range(62)
# In steps: what is drawn on either side of the edge of a domain.
AROUND = 20


class Known(NamedTuple):
    """A protein and the residues of its known domains."""

    tokens: TokenArray
    inside_L: BoolArray
    domains: list[tuple[str, int, int]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--split", default="test")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    arguments = parser.parse_args()
    if not arguments.table and not os.environ.get("TFCLASS_REAL_DATA"):
        print("TFCLASS_REAL_DATA does not name the folder with the real proteins, and there is no --table")
        sys.exit(0)
    torch.set_num_threads(1)
    bundle = load_bundle(find_bundle(arguments.model))
    proteins = known_domains(arguments.table, arguments.split, bundle.alphabet)
    scorer = Scorer(bundle, "network")
    lengths = [len(each.tokens) for each in proteins]
    counted = f"{len(proteins)} transcription factors of {np.mean(lengths):.0f} residues"
    print(f"{bundle.name}, split {arguments.split}: {counted}")
    attribution_table(scorer, proteins)
    parts_table(scorer, proteins)
    if not arguments.table:
        essential_table(scorer, proteins)
    gate_table(scorer, proteins, arguments.figures)


def known_domains(table: Path | None, split: str, alphabet: Alphabet) -> list[Known]:
    if table:
        frame = pd.read_csv(table, sep="\t", keep_default_na=False).query("label == 'TF' and domain_start != ''")
        frame = frame.rename(columns={"domain_start": "start", "domain_end": "end", "family": "domain"})
    else:
        path = Path(os.environ["TFCLASS_REAL_DATA"], "dbd_regions.tsv.gz")
        frame = pd.read_csv(path, sep="\t", keep_default_na=False)
    proteins = []
    for sequence, rows in frame[frame["split"] == split].groupby("sequence", sort=False):
        if len(str(sequence)) > MAX_LENGTH:
            continue
        inside_L = np.zeros(len(str(sequence)), dtype=bool)
        domains = [(str(d), int(s), int(e)) for d, s, e in zip(rows["domain"], rows["start"], rows["end"], strict=True)]
        for _, start, end in domains:
            inside_L[start - 1 : end] = True
        proteins.append(Known(alphabet.encode(str(sequence)), inside_L, domains))
    return proteins


def attribution_table(scorer: Scorer, proteins: list[Known]) -> None:
    names = ["uniform", *METHODS, f"integrated_gradients, mean of {SMOOTHED}", "attention", "shuffled weights"]
    share_RN, pointed_RN, gaps = [], [], []
    shuffled = Explained(with_shuffled_weights(scorer.bundle.model), scorer.bundle.alphabet)
    for protein in proteins:
        found = explain(scorer, protein.tokens, list(METHODS))
        values = {name: each.value_L for name, each in found.attributions.items()}
        gradients = found.attributions["integrated_gradients"]
        gaps.append(abs(gradients.gap / gradients.difference))
        values["uniform"] = np.ones(len(protein.tokens))
        values[names[-3]] = np.convolve(gradients.value_L, np.full(SMOOTHED, 1 / SMOOTHED), "same")
        values["attention"] = np.zeros(1) if found.attention_L is None else found.attention_L
        values["shuffled weights"] = integrated_gradients(shuffled, protein.tokens).value_L
        positive = [np.clip(values[name], 0, None) for name in names]
        share_RN.append([float(v_L[protein.inside_L].sum() / v_L.sum()) if v_L.sum() else np.nan for v_L in positive])
        # The residue that a uniform map points at is any.
        pointed_RN.append([float(protein.inside_L[v_L == v_L.max()].mean()) for v_L in positive])
    print("| method | share of positive attribution in domains | greatest value in a domain |\n|---|---|---|")
    for name, share_N, pointed_N in zip(names, np.transpose(share_RN), np.transpose(pointed_RN), strict=True):
        print(f"| {name.replace('_', ' ')} | {with_error(share_N)} | {with_error(pointed_N)} |")
    print(f"completeness gap of integrated gradients: mean {np.mean(gaps):.2%}, greatest {np.max(gaps):.2%}\n")


def parts_table(scorer: Scorer, proteins: list[Known]) -> None:
    explained = Explained(scorer.bundle.model, scorer.bundle.alphabet)
    generator = np.random.default_rng(0)
    odds_RN = []
    for protein in proteins:
        inside_L = protein.inside_L
        odds = [float(explained.log_odds([protein.tokens])[0])]
        for shuffled_L in (~inside_L, inside_L, np.ones_like(inside_L)):
            permuted = [protein.tokens.copy() for _ in range(N_PERMUTATIONS)]
            for tokens in permuted:
                tokens[shuffled_L] = generator.permutation(tokens[shuffled_L])
            odds.append(float(explained.log_odds(permuted).mean()))
        odds_RN.append(odds)
    odds_NR = np.transpose(odds_RN)
    share_NR = (odds_NR - odds_NR[3]) / (odds_NR[0] - odds_NR[3])
    print("| residues in their order | mean log-odds | median share of the difference | above 0 |\n|---|---|---|---|")
    names = ("all", "in domains", "out of domains", "none")
    for name, odds_R, share_R in zip(names, odds_NR, share_NR, strict=True):
        print(f"| {name} | {odds_R.mean():.1f} | {np.median(share_R):.0%} | {(odds_R > 0).mean():.0%} |")
    print()


def with_error(value_N: FloatArray) -> str:
    return f"{np.nanmean(value_N):.1%} ± {np.nanstd(value_N) / np.sqrt(len(value_N)):.1%}"


def with_shuffled_weights(model: Classifier) -> Classifier:
    shuffled = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in shuffled.parameters():
            weight.copy_(weight.flatten()[torch.randperm(weight.numel(), generator=generator)].view_as(weight))
    return shuffled


def essential_table(scorer: Scorer, proteins: list[Known]) -> None:
    explained = Explained(scorer.bundle.model, scorer.bundle.alphabet)
    print("| domain | residues | domains | mutations | integrated gradients |\n|---|---|---|---|---|")
    for name, (residues, pattern) in ESSENTIAL.items():
        areas = []
        for protein in proteins:
            text = scorer.bundle.alphabet.decode(protein.tokens)
            for domain, start, end in protein.domains:
                match = re.search(pattern, text[start - 1 : end])
                if domain == name and match:
                    places = [start - 1 + match.start(number + 1) for number in range(match.re.groups)]
                    areas.append(areas_of(explained, protein.tokens, places, range(start - 1, end)))
        by_mutation, by_gradient = np.mean(areas, axis=0)
        print(f"| {name} | {residues} | {len(areas)} | {by_mutation:.3f} | {by_gradient:.3f} |")
    (laci,) = (record for record in read_fasta(EXAMPLES) if record.id == "LACI_ECOLI")
    by_mutation, by_gradient = areas_of(
        explained, explained.alphabet.encode(laci.sequence), CONTACTS_OF_LACI, DNA_OF_LACI
    )
    print(f"| LacI of *E. coli*, 1-62 | 9 that touch DNA | 1 | {by_mutation:.3f} | {by_gradient:.3f} |\n")


def areas_of(explained: Explained, tokens: TokenArray, places: Sequence[int], domain: range) -> tuple[float, float]:
    """Return the areas under the ROC curve of mutations and of integrated gradients, for places among a domain's."""
    essential_L = np.isin(np.array(domain), places)
    value_L = integrated_gradients(explained, tokens).value_L[domain.start : domain.stop]
    return roc_auc_score(essential_L, mean_loss(explained, tokens, domain)), roc_auc_score(essential_L, value_L)


def mean_loss(explained: Explained, tokens: TokenArray, places: range) -> FloatArray:
    """Return the mean loss of log-odds over the 19 substitutions of each of some residues."""
    letters = [explained.alphabet.letters.index(letter) + 1 for letter in AMINO_ACIDS]
    mutants = []
    for place in places:
        for letter in letters:
            mutant = tokens.copy()
            mutant[place] = letter
            mutants.append(mutant)
    (full,) = explained.log_odds([tokens])
    return (full - explained.log_odds(mutants)).reshape(len(places), -1).sum(axis=1) / (len(letters) - 1)


def gate_table(scorer: Scorer, proteins: list[Known], figures: Path) -> None:
    rows: dict[str, list[tuple[float, float]]] = {}
    curves: dict[str, list[FloatArray]] = {}
    for protein in proteins:
        found = explain(scorer, protein.tokens, [])
        if not found.gates:
            print("no gates: the network has no LSTM")
            return
        inside_S = protein.inside_L[:: found.pool]
        if inside_S.all() or not inside_S.any():
            continue
        for direction, gates in zip(("forward", "backward"), found.gates[-1], strict=False):
            for gate, value_SH in (
                ("forget", gates.f),
                ("input", gates.i),
                ("output", gates.o),
                ("|cell|", gates.c.abs()),
            ):
                mean_S = value_SH.mean(dim=1).double().numpy()
                key = f"{gate}, {direction}"
                rows.setdefault(key, []).append((mean_S[inside_S].mean(), mean_S[~inside_S].mean()))
                edges = {"start": [start for _, start, _ in protein.domains], "end": [e for _, _, e in protein.domains]}
                for edge, places in edges.items():
                    drawn = [around(mean_S, place // found.pool) for place in places]
                    curves.setdefault(f"{key}, {edge}", []).extend(drawn)
    print("| gate, mean over units | inside domains | outside | higher inside in |\n|---|---|---|---|")
    for key, pairs in rows.items():
        inside, outside = np.transpose(pairs)
        print(f"| {key} | {with_error_plain(inside)} | {with_error_plain(outside)} | {(inside > outside).mean():.0%} |")
    figures.mkdir(parents=True, exist_ok=True)
    draw(curves).savefig(figures / "gates-at-domains.png", pil_kwargs={"optimize": True})


def with_error_plain(value_N: FloatArray) -> str:
    return f"{value_N.mean():.3f} ± {value_N.std() / np.sqrt(len(value_N)):.3f}"


def around(value_S: FloatArray, place: int) -> FloatArray:
    """Return the values of the steps around a place, NaN beyond the protein; shape (2 * AROUND + 1,)."""
    padded = np.pad(value_S, AROUND, constant_values=np.nan)
    return padded[min(place, len(value_S) - 1) :][: 2 * AROUND + 1]


def draw(curves: dict[str, list[FloatArray]]) -> Figure:
    figure = Figure(figsize=(9, 4.6), dpi=110, layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    for row, gate in enumerate(("forget", "input")):
        for column, edge in enumerate(("start", "end")):
            axes = panels[row][column]
            for direction, colour in (("forward", "#1f5fa8"), ("backward", "#d9822b")):
                curve = np.array(curves[f"{gate}, {direction}, {edge}"])
                mean, error = (
                    np.nanmean(curve, axis=0),
                    np.nanstd(curve, axis=0) / np.sqrt((~np.isnan(curve)).sum(axis=0)),
                )
                distance = np.arange(-AROUND, AROUND + 1) * 4
                axes.plot(distance, mean, color=colour, label=direction)
                axes.fill_between(
                    distance, mean - 1.96 * error, mean + 1.96 * error, color=colour, alpha=0.2, linewidth=0
                )
            axes.axvline(0, color="#7a7a7a", linewidth=1, linestyle="--")
            axes.axvspan(
                *((0, AROUND * 4) if edge == "start" else (-AROUND * 4, 0)), color="#7a7a7a", alpha=0.08, linewidth=0
            )
            axes.spines[["top", "right"]].set_visible(False)
            if row == 0:
                axes.set_title(f"around the {edge} of a domain (shaded)", fontsize=10)
            if row == 1:
                axes.set_xlabel("residues")
            if column == 0:
                axes.set_ylabel(f"{gate} gate, mean of units")
    panels[0][0].legend(frameon=False)
    return figure


if __name__ == "__main__":
    main()
