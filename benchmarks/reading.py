"""Draw how recurrent networks read a protein: the figures of docs/background/how-an-lstm-reads-a-protein.md.

    make train MODEL=rnn; make train MODEL=peephole_lstm
    python benchmarks/reading.py [--models models/demo-rnn models/demo-peephole_lstm]

The shipped model reads the homeodomain protein MATalpha2 of yeast, which is in none of its training clusters, and LacI
of *E. coli*; the others, trained on the demo corpus, read the transcription factor of its test split whose domain is
the smallest part of it. Beside the figures it prints the numbers that the page quotes.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from tfclass.bundle.bundle import Bundle, find_bundle, load_bundle
from tfclass.interpretation.gates import gate_traces
from tfclass.models.encoders import Recurrent, length_mask
from tfclass.models.forward import collate
from tfclass.models.lstm import Gates
from tfclass.models.network import AttentionPooling
from tfclass.sequences.fasta import read_fasta
from tfclass.typing import BoolArray, FloatArray

ROOT = Path(__file__).parents[1]
# UniProt P0CY08, and its homeobox there.
MATALPHA2 = (
    "MNKIPIKDLLNPQITDEFKSSILDINKKLFSICCNLPKLPESVTTEEEVELRDILGFLSRANKNRKISDEEKKLLQTTSQLTTTITVLLKEMRSIENDRSNYQLTQKN"
    "KSADGLVFNVVTQDMINKSTKPYRGHRFTKENVRILESWFAKNIENPYLDTKGLENLMKNTSLSRIQIKNWVSNRRRKEKTITIAPELADLLSGEPLAKKKE"
)
MATALPHA2_DOMAIN = (129, 191)
# UniProt P03023: the domain of the family, the helix-turn-helix in it.
LACI_DOMAIN = (1, 58)
N_UNITS = 12
FORWARD, BACKWARD, GREY = "#1f5fa8", "#d9822b", "#7a7a7a"


class Reading(NamedTuple):
    """Gates, states and evidence of a network at each step of a protein.

    Attributes
    ----------
    gates : list of Gates
        By direction, each array of shape (S, H); empty without gates.
    states : list of ndarray, shape (S, H)
        By direction.
    attention_S : ndarray of float64, shape (S,)
    evidence : list of ndarray, shape (S,)
        By direction: what a step adds to the difference of the logits, its weight times the state on the weights of
        the output layer. They sum to the difference, less that of the biases.
    unit_H : list of ndarray, shape (H,)
        The same by unit.
    bias : float
    pool : int
    """

    gates: list[Gates]
    states: list[FloatArray]
    attention_S: FloatArray
    evidence: list[FloatArray]
    unit_H: list[FloatArray]
    bias: float
    pool: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=["models/demo-rnn", "models/demo-peephole_lstm"])
    parser.add_argument("--table", type=Path, default=Path("data/demo/demo.tsv"))
    parser.add_argument("--figures", type=Path, default=ROOT / "docs" / "figures")
    options = parser.parse_args()
    options.figures.mkdir(parents=True, exist_ok=True)
    shipped = load_bundle(find_bundle("tf-bilstm"))
    (laci,) = (record for record in read_fasta(ROOT / "data/examples/proteins.fasta") if record.id == "LACI_ECOLI")
    for name, sequence, domain in (("matalpha2", MATALPHA2, MATALPHA2_DOMAIN), ("laci", laci.sequence, LACI_DOMAIN)):
        reading = read(shipped, sequence)
        describe(name, reading, domain)
        save(draw(reading, domain, len(sequence)), options.figures / f"reading-{name}.png")
    frame = pd.read_csv(options.table, sep="\t", keep_default_na=False).query("label == 'TF' and split == 'test'")
    frame = frame[frame["domain_start"] != ""].astype({"domain_start": int, "domain_end": int})
    size = frame["domain_end"] - frame["domain_start"] + 1
    protein = frame.loc[(size / frame["sequence"].str.len()).idxmin()]
    domain = int(protein["domain_start"]), int(protein["domain_end"])
    for folder in options.models:
        bundle = load_bundle(Path(folder))
        reading = read(bundle, str(protein["sequence"]))
        describe(f"{bundle.network} on {protein['id']}", reading, domain)
        name = f"reading-demo-{bundle.network.replace('_', '-')}.png"
        save(draw(reading, domain, len(protein["sequence"])), options.figures / name)


@torch.no_grad()
def read(bundle: Bundle, sequence: str) -> Reading:
    model = bundle.model
    tokens_BL, lengths_B = collate([bundle.alphabet.encode(sequence)])
    x_BSE, steps_B = model.stem(model.embedding(tokens_BL), lengths_B)
    encoder = model.encoder
    if not isinstance(encoder, Recurrent) or not isinstance(model.pooling, AttentionPooling) or len(model.hidden):
        raise SystemExit(f"reading: {bundle.name} has no recurrent layer, attention or plain output; nothing to draw")
    states_SF = encoder(x_BSE, steps_B)[0]
    attention_S = model.pooling.weights(states_SF[None], length_mask(steps_B, len(states_SF)))[0]
    weight_F = model.head.weight[1] - model.head.weight[0]
    evidence_SF = attention_S[:, None] * states_SF * weight_F
    try:
        gates = [Gates(*(each[0] for each in found)) for found in gate_traces(encoder, x_BSE, steps_B)[-1]]
    except TypeError:
        gates = []
    halves: list[Tensor] = list(evidence_SF.double().chunk(encoder.directions, dim=1))
    bias = float(model.head.bias[1] - model.head.bias[0])
    logits_C = model(tokens_BL, lengths_B)[0]
    assert abs(float(evidence_SF.sum()) + bias - float(logits_C[1] - logits_C[0])) < 1e-3
    return Reading(
        gates,
        [half.numpy() for half in states_SF.double().chunk(encoder.directions, dim=1)],
        attention_S.double().numpy(),
        [half.sum(dim=1).numpy() for half in halves],
        [half.sum(dim=0).numpy() for half in halves],
        bias,
        model.stem.pool,
    )


def describe(name: str, reading: Reading, domain: tuple[int, int]) -> None:
    inside_S = inside(reading, domain)
    forward, backward = (each.sum() for each in reading.evidence)
    print(f"{name}: log-odds {forward + backward + reading.bias:.2f} = bias {reading.bias:.2f}", end=" ")
    print(f"+ forward {forward:.2f} + backward {backward:.2f}")
    print(f"  attention in the domain {reading.attention_S[inside_S].sum():.1%}; steps in it {inside_S.mean():.1%}")
    for direction, gates in zip(("forward", "backward"), reading.gates, strict=False):
        for gate, value_SH in (("forget", gates.f), ("input", gates.i), ("output", gates.o)):
            mean_S = value_SH.mean(dim=1).numpy()
            print(
                f"  {gate}, {direction}: {mean_S[inside_S].mean():.3f} inside, {mean_S[~inside_S].mean():.3f} outside"
            )


def inside(reading: Reading, domain: tuple[int, int]) -> BoolArray:
    first = np.arange(len(reading.attention_S)) * reading.pool + 1
    return (first + reading.pool > domain[0]) & (first <= domain[1])


def draw(reading: Reading, domain: tuple[int, int], length: int) -> Figure:
    figure = Figure(figsize=(9, 7.4 if reading.gates else 6.0), dpi=110, layout="constrained")
    heights = ([1.1, 1.1] if reading.gates else []) + [1.5, 1.5, 1.2]
    panels: list[Axes] = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    left = np.arange(len(reading.attention_S)) * reading.pool + 1
    middle = left + (reading.pool - 1) / 2
    edges = np.append(left, length + 1) - 0.5
    if reading.gates:
        for axes, name, letter in zip(panels[:2], ("forget gate", "input gate"), "fi", strict=True):
            for gates, colour, label in zip(reading.gates, (FORWARD, BACKWARD), ("forward", "backward"), strict=False):
                axes.plot(middle, getattr(gates, letter).mean(dim=1).numpy(), color=colour, label=label, linewidth=1.3)
            axes.set_ylabel(f"{name},\nmean of units", fontsize=9)
        panels[0].legend(frameon=False, ncols=2, fontsize=9, loc="upper left", bbox_to_anchor=(0, 1.25))
    shown = [gates.c.double().numpy() for gates in reading.gates] or reading.states
    for axes, value_SH, unit_H, label in zip(
        panels[-3:-1], shown, reading.unit_H, ("forward", "backward"), strict=False
    ):
        units = np.argsort(-np.abs(unit_H))[:N_UNITS]
        most = np.abs(value_SH[:, units]).max()
        axes.pcolormesh(edges, np.arange(N_UNITS + 1), value_SH[:, units].T, cmap="RdBu_r", vmin=-most, vmax=most)
        axes.set_yticks([])
        axes.set_ylabel(f"{'cell' if reading.gates else 'state'}, {label},\n{N_UNITS} units", fontsize=9)
    for evidence_S, colour in zip(reading.evidence, (FORWARD, BACKWARD), strict=False):
        panels[-1].step(middle, evidence_S, where="mid", color=colour, linewidth=1.3)
    panels[-1].axhline(0, color=GREY, linewidth=0.8)
    panels[-1].set_ylabel("evidence,\nlogits", fontsize=9)
    panels[-1].set_xlabel("residue")
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        for edge in domain:
            axes.axvline(edge, color=GREY, linewidth=1, linestyle="--")
    panels[-1].set_xlim(1, length)
    return figure


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, pil_kwargs={"optimize": True})
    print(f"  {path}")


if __name__ == "__main__":
    main()
