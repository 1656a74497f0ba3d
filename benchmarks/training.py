"""Measure how bfloat16 and huge pages speed up training on a CPU: the same epoch of the default network, alternately.

    python benchmarks/training.py [--rounds 3]

Prints residues per second of the training steps, the ratio of the medians, and the loss that each reached. bfloat16
pays only on processors with instructions for it; `tfclass` asks for huge pages by itself, where Linux has them.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tfclass.config import CorpusConfig, ModelConfig, TrainingConfig
from tfclass.data.split import select_split
from tfclass.data.table import read_table
from tfclass.models.factory import build
from tfclass.sequences.alphabet import AMINO_ACIDS, Alphabet
from tfclass.training.trainer import Trainer

# Of each way, `training.amp` and what torch reads when it starts.
WAYS = {"small pages": ("never", "0"), "huge pages": ("never", "1"), "with bfloat16": ("always", "1")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        random_proteins(2000).to_csv(Path(folder) / "random.tsv", sep="\t", index=False)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
        for _ in range(rounds):
            for name, (amp, pages) in WAYS.items():
                os.environ["THP_MEM_ALLOC_ENABLE"] = pages
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                    taken[name].append(pool.submit(epoch, Path(folder), amp).result())
    print(f"random proteins, {torch.get_num_threads()} threads, torch {torch.__version__}; medians of {rounds}\n")
    print(f"{'':14}{'residues/s':>12}{'ratio':>8}{'loss':>8}")
    rates = {name: statistics.median(rate for rate, _ in runs) for name, runs in taken.items()}
    for name, rate in rates.items():
        print(f"{name:14}{rate:>12,.0f}{rate / rates['small pages']:>7.2f}x{taken[name][0][1]:>8.4f}")


def random_proteins(n: int) -> pd.DataFrame:
    """Make a table of proteins of natural lengths (their logarithms are normal; 480 on average) and no meaning."""
    rng = np.random.default_rng(0)
    lengths = rng.lognormal(6.0, 0.6, n).clip(30, 4000).astype(int)
    sequences = ["".join(rng.choice([*AMINO_ACIDS], length)) for length in lengths]
    frame = pd.DataFrame({"id": [f"p{row}" for row in range(n)], "sequence": sequences})
    labels, splits = np.where(frame.index % 3, "nonTF", "TF"), np.where(frame.index % 10, "train", "valid")
    return frame.assign(label=labels, split=splits)


def epoch(folder: Path, amp: str) -> tuple[float, float]:
    """Train for one epoch; give residues per second of the steps, and the mean loss."""
    torch.manual_seed(0)
    alphabet = Alphabet()
    proteins = read_table(CorpusConfig.default(path=str(folder / "random.tsv")), alphabet)
    model = build(ModelConfig.default(), alphabet, len(proteins.classes))
    training, validation = (select_split(proteins, name, "random.tsv") for name in ("train", "valid"))
    config = TrainingConfig.default(epochs=1, amp=amp)  # type: ignore[arg-type]
    trainer = Trainer(model, training, validation, config, alphabet=alphabet, seed=0, folder=folder)
    entry = trainer.run().history[0]
    return entry["train_residues_per_second"], entry["train_loss"]


if __name__ == "__main__":
    main()
