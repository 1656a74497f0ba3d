"""How fast is prediction, against the field's networks run as published, and against what the cores can do at most?

The same proteins, cores and process: the *E. coli* proteome and 5,000 proteins of the labelled corpus (from the folder
that TFCLASS_REAL_DATA names; else the generated demo corpus). The rivals read what they read as published: 1000
positions, dense one-hot, padded or cut, 128 proteins at a time. They are slow, so they are timed on a sample.

Usage: python benchmarks/predict.py [--threads 2] [--sample 256] [--proteins 100000]
"""

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfclass.data.demo import generate_demo
from tfclass.inference.predictor import Predictor
from tfclass.models.forward import Precision
from tfclass.sequences.alphabet import AMINO_ACIDS
from tfclass.sequences.fasta import Record

POSITIONS, BATCH = 1000, 128
LETTERS = f"{AMINO_ACIDS}X"
COMMAND = [sys.executable, "-c", "from tfclass.cli.app import main; main()", "predict", "--quiet"]
# A process begins with the peak memory of the one that starts it, so a small one does.
LAUNCHER = """
import os, subprocess, sys
_, status, usage = os.wait4(subprocess.Popen(sys.argv[1:]).pid, 0)
print(usage.ru_maxrss)
sys.exit(status)
"""


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sample", type=int, default=2 * BATCH, help="proteins that the rivals are timed on")
    parser.add_argument("--proteins", type=int, default=100_000, help="generated proteins for time and memory")
    parser.add_argument("--tiny", type=int, default=100_000, help="generated records of four residues, likewise")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.threads} threads, torch {torch.__version__}\n")
    for name, sequences in proteins().items():
        compare(name, sequences, options.sample)
    compare_with_peak()
    start_up()
    for channel in ("network", "combined"):
        for count in sorted({10_000, options.proteins}):
            generated(count, 300, channel, options.threads)
    generated(options.tiny, 4, "combined", options.threads)


# What is timed of ours; the first is what the rivals are held against.
ASKED: tuple[tuple[str, Precision], ...] = (("network", "float32"), ("network", "bf16"), ("combined", "float32"))


def proteins() -> dict[str, list[str]]:
    """Give the protein sets by name."""
    folder = os.environ.get("TFCLASS_REAL_DATA")
    if not folder:
        return {"demo corpus": generate_demo(n_clusters=1500, seed=0)["sequence"].tolist()}
    ecoli = pd.read_csv(Path(folder) / "ecoli_proteome.tsv.gz", sep="\t")["sequence"].tolist()
    corpus = pd.read_csv(Path(folder) / "corpus.tsv.gz", sep="\t")["sequence"]
    return {"E. coli": ecoli, "corpus, 5,000": corpus.sample(5000, random_state=0).tolist()}


def compare(name: str, sequences: list[str], sample: int):
    """Proteins per second of tfclass, and of the rivals on a sample of the same proteins."""
    residues = sum(map(len, sequences))
    print(f"{name}: {len(sequences):,} proteins, {residues:,} residues")
    print(f"{'':<44}{'proteins/s':>11}{'residues/s':>12}{'ratio':>8}")
    bundle = Predictor.load().bundle
    records = [Record(str(i), "", sequence) for i, sequence in enumerate(sequences)]
    rates, probabilities = [], []
    for channel, precision in ASKED:
        predictor = Predictor(bundle, channel=channel, precision=precision)
        list(predictor.predict(records[:200]))
        started = time.perf_counter()
        rows = list(predictor.predict(records))
        rates.append(len(sequences) / (time.perf_counter() - started))
        probabilities.append(np.array([row.probability for row in rows], dtype=float))
        label, rate = f"tfclass, channel {channel}, {precision}", rates[-1]
        print(f"{label:<44}{rate:>11,.0f}{rate * residues / len(sequences):>12,.0f}{rates[0] / rate:>7.1f}x")
    ours = rates[0]
    drawn = [sequences[i] for i in np.random.default_rng(0).permutation(len(sequences))[:sample]]
    for rival, network in {"DeepTFactor's": DeepTFactor(), "DeepReg's": DeepReg()}.items():
        started = time.perf_counter()
        score_as_published(network, drawn)
        theirs = len(drawn) / (time.perf_counter() - started)
        print(f"{rival + ' network, as published':<44}{theirs:>11,.1f}{'':>12}{ours / theirs:>7.1f}x")
    moved = np.nanmax(np.abs(probabilities[1] - probabilities[0]))
    print(f"the ratio is of the network in float32; bf16 moves a probability by {moved:.4f} at most\n")


@torch.inference_mode()
def score_as_published(network: nn.Module, sequences: list[str]) -> Tensor:
    """Encode each protein densely, stack, score; 128 at a time."""
    network.eval()
    scores = []
    for start in range(0, len(sequences), BATCH):
        dense = np.zeros((len(sequences[start : start + BATCH]), POSITIONS, len(LETTERS)), dtype=np.float32)
        for row, sequence in zip(dense, sequences[start : start + BATCH], strict=True):
            for position, letter in enumerate(sequence[:POSITIONS]):
                row[position, LETTERS.find(letter)] = 1.0
        scores.append(network(torch.from_numpy(dense).transpose(1, 2)))
    return torch.cat(scores)


class Stacks(nn.Module):
    """Parallel stacks of three convolutions without padding, cut to one length, merged by a 1x1 convolution."""

    def __init__(self, kernels: list[tuple[int, int, int]]) -> None:
        super().__init__()
        self.stacks = nn.ModuleList(
            nn.Sequential(
                *[
                    part
                    for i, kernel in enumerate(stack)
                    for part in (nn.Conv1d(128 if i else len(LETTERS), 128, kernel), nn.BatchNorm1d(128), nn.ReLU())
                ]
            )
            for stack in kernels
        )
        width = 128 * len(kernels)
        self.merge = nn.Sequential(nn.Conv1d(width, width, 1), nn.BatchNorm1d(width), nn.ReLU())

    def forward(self, x_BEL: Tensor) -> Tensor:
        """Give (B, 128 per stack, length that the shortest stack leaves)."""
        found = [stack(x_BEL) for stack in self.stacks]
        shortest = min(each.shape[2] for each in found)
        return self.merge(torch.cat([each[:, :, :shortest] for each in found], dim=1))


class DeepTFactor(nn.Module):
    """Three stacks, their maximum, two dense layers (10.1073/pnas.2021171118)."""

    def __init__(self) -> None:
        super().__init__()
        self.stacks = Stacks([(4, 4, 16), (12, 8, 4), (16, 4, 4)])
        self.head = nn.Sequential(nn.Linear(384, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1))

    def forward(self, x_BEL: Tensor) -> Tensor:
        """Score."""
        return self.head(self.stacks(x_BEL).amax(dim=2))


class DeepReg(nn.Module):
    """Four stacks, pooling by 2, a BiLSTM of 128 each way, a dense layer (10.1038/s41598-024-59487-5)."""

    def __init__(self) -> None:
        super().__init__()
        self.stacks = Stacks([(4, 4, 16), (12, 8, 4), (16, 4, 4), (6, 6, 12)])
        self.lstm = nn.LSTM(512, 128, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(256, 1)
        self.head = nn.Linear(256, 1)

    def forward(self, x_BEL: Tensor) -> Tensor:
        """Score."""
        states_BLF, _ = self.lstm(F.max_pool1d(self.stacks(x_BEL), 2).transpose(1, 2))
        return self.head((states_BLF * self.attention(states_BLF).softmax(dim=1)).sum(dim=1))


def compare_with_peak():
    """Floating-point operations of the shipped network per second, against a large matrix product."""
    predictor = Predictor.load(channel="network")
    config = predictor.bundle.config
    stem, hidden = config.stem, config.hidden
    # The convolution is looked up in tables, which multiplies nothing; its additions are not counted.
    recurrence = 2 * 8 * hidden * (stem.channels + hidden) / stem.pool
    width = hidden if config.attention_hidden is None else config.attention_hidden
    operations = recurrence + 2 * (2 * hidden) * (width + 1) / stem.pool
    rng = np.random.default_rng(0)
    records = [Record("", "", "".join(rng.choice(list(AMINO_ACIDS), 350))) for _ in range(3000)]
    matrix = torch.randn(3000, 3000)
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        torch.mm(matrix, matrix)
        peak = 2 * 3000**3 / (time.perf_counter() - started)
        started = time.perf_counter()
        list(predictor.predict(records))
        rates.append((350 * len(records) * operations / (time.perf_counter() - started), peak))
    ours, peak = np.median(rates, axis=0) / 1e9
    print(f"network {ours:,.0f} GFLOP/s ({operations / 1e3:,.0f} kFLOP per residue)", end=", ")
    print(f"matrix product {peak:,.0f} GFLOP/s: {ours / peak:.0%}\n")


def start_up():
    """Seconds from start to the row of one protein, and of the imports in it."""
    fasta = b">one\nMKVLAGHWMKV\n"
    for name, command in {
        "python, import torch": [sys.executable, "-c", "import torch"],
        "tfclass predict, one protein": [*COMMAND, "-"],
    }.items():
        started = time.perf_counter()
        subprocess.run(command, input=fasta, stdout=subprocess.DEVNULL, check=True)
        print(f"{name:<44}{time.perf_counter() - started:>10.1f} s")
    print()


def generated(count: int, length: int, channel: str, threads: int):
    """Time and peak memory of the command on generated proteins; each must have its row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.fasta.gz"
        rng = np.random.default_rng(0)
        letters = np.frombuffer(AMINO_ACIDS.encode(), dtype=np.uint8)
        with gzip.open(path, "wb", compresslevel=1) as stream:
            for start in range(0, count, 10_000):
                drawn = letters[rng.integers(0, 20, (min(10_000, count - start), length))]
                stream.write(b"".join(b">p%d\n%b\n" % (start + i, row.tobytes()) for i, row in enumerate(drawn)))
        rows = Path(folder) / "rows.tsv"
        options = ["--channel", channel, "--threads", str(threads), "-o", str(rows)]
        command = [*COMMAND, str(path), *options]
        started = time.perf_counter()
        measured = subprocess.run([sys.executable, "-c", LAUNCHER, *command], capture_output=True, check=True)
        seconds = time.perf_counter() - started
        peak = int(measured.stdout) * (1 if sys.platform == "darwin" else 1024)
        with rows.open("rb") as stream:
            if sum(1 for _ in stream) != count + 1:
                sys.exit(f"predict: found rows missing of {count:,} proteins; expected one of each")
        about = f"{count:>10,} generated proteins of {length} residues, {channel}"
        rate = f"{length * count / seconds:,.0f} residues/s"
        print(f"{about}: {seconds:,.0f} s, {rate}, peak memory {peak / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
