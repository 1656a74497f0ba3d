"""What bfloat16 gains in training on a CPU: the same epoch of the default network in either precision, in turns.

    python benchmarks/training.py [--rounds 3]

Prints residues per second of the training steps, the ratio of the medians, and the loss that either reached. It pays
only on processors with instructions for bfloat16.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import torch

from tfclass.config import CorpusConfig, ModelConfig, TrainingConfig
from tfclass.corpus.demo import generate_demo
from tfclass.corpus.split import select_split
from tfclass.corpus.table import LabelledProteins, read_table
from tfclass.networks.zoo import build
from tfclass.sequence.vocabulary import Vocabulary
from tfclass.training.loop import Trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "demo.tsv"
        generate_demo(3000, 0).to_csv(table, sep="\t", index=False)
        proteins = read_table(CorpusConfig(path=str(table), name="demo"), Vocabulary())
        precisions = {
            "float32": TrainingConfig(epochs=1, amp="never"),
            "bfloat16": TrainingConfig(epochs=1, amp="always"),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in precisions}
        for _ in range(rounds):
            for name, config in precisions.items():
                taken[name].append(epoch(proteins, config, Path(folder)))
    print(f"demo corpus, {torch.get_num_threads()} threads, torch {torch.__version__}; medians of {rounds}\n")
    print(f"{'':12}{'residues/s':>12}{'ratio':>8}{'loss':>8}")
    rates = {name: statistics.median(rate for rate, _ in runs) for name, runs in taken.items()}
    for name, rate in rates.items():
        print(f"{name:12}{rate:>12,.0f}{rate / rates['float32']:>7.2f}x{taken[name][0][1]:>8.4f}")


def epoch(proteins: LabelledProteins, config: TrainingConfig, folder: Path) -> tuple[float, float]:
    """Train for one epoch; give residues per second of the steps, and the mean loss."""
    torch.manual_seed(0)
    vocabulary = Vocabulary()
    model = build(ModelConfig(), vocabulary, len(proteins.classes))
    training, validation = (select_split(proteins, name, "demo") for name in ("train", "valid"))
    trainer = Trainer(model, training, validation, config, vocabulary=vocabulary, seed=0, folder=folder)
    entry = trainer.run().history[0]
    return entry["train_residues_per_second"], entry["train_loss"]


if __name__ == "__main__":
    main()
