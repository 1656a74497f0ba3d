"""What recording in MLflow costs a training: the same one with tracking on and off, in turns, in one process.

    python benchmarks/tracking.py [--epochs 10] [--rounds 3]

Prints seconds of wall clock and of processor for each, and the ratio of the medians. The first pair warms up and does
not count; importing MLflow, once per process, is timed by itself. What tracking does once per training, whatever its
length (opening the store, logging and checking the model), is told apart from what it does in every epoch by training
for twice as long.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from tfclass.config import CorpusConfig, ModelConfig, RuntimeConfig, TrackingConfig, TrainConfig, TrainingConfig
from tfclass.data.demo import generate_demo
from tfclass.pipelines.train import train_and_package


def timed(table: Path, folder: Path, epochs: int, enabled: bool) -> tuple[float, float]:
    config = TrainConfig.default(
        corpus=CorpusConfig.default(path=str(table), name="demo"),
        model=ModelConfig.default(),
        training=TrainingConfig.default(epochs=epochs, max_residues=4096, patience=1000),
        tracking=TrackingConfig.default(enabled=enabled, uri=f"sqlite:///{table.parent}/mlflow.db"),
        runtime=RuntimeConfig.default(device="cpu", threads=1),
        run_dir=tempfile.mkdtemp(dir=folder),
    )
    wall, processor = time.perf_counter(), time.process_time()
    train_and_package(config)
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clusters", type=int, default=3000, help="of the demo corpus, one to three proteins each")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    started = time.process_time()
    import mlflow.pyfunc  # noqa: F401

    import_seconds = time.process_time() - started
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "demo.tsv"
        generate_demo(options.clusters, 0).to_csv(table, sep="\t", index=False)
        # Tables of the store, imports.
        for enabled in (True, False):
            timed(table, folder, 1, enabled)
        taken: dict[tuple[int, bool], list[tuple[float, float]]] = {}
        for turn in range(options.rounds):
            for epochs in (options.epochs, 2 * options.epochs):
                # Who goes first changes, so that a machine which gets busier favours neither.
                for enabled in (turn % 2 == 0, turn % 2 == 1):
                    taken.setdefault((epochs, enabled), []).append(timed(table, folder, epochs, enabled))
                    print(".", end="", file=sys.stderr, flush=True)
    about = f"demo corpus of {options.clusters} clusters, 1 thread, torch {torch.__version__}"
    print(f"\n{about}; medians of {options.rounds}\n")
    print(f"{'':14}{'wall, s':>22}{'':11}{'processor, s':>22}")
    print(f"{'epochs':14}{'on':>11}{'off':>11}{'ratio':>8}{'':3}{'on':>11}{'off':>11}{'ratio':>8}")
    medians = {key: [statistics.median(column) for column in zip(*rows, strict=True)] for key, rows in taken.items()}
    for epochs in (options.epochs, 2 * options.epochs):
        on, off = medians[epochs, True], medians[epochs, False]
        columns = "   ".join(f"{a:11.1f}{b:11.1f}{a / b:8.3f}" for a, b in zip(on, off, strict=True))
        print(f"{epochs:<14}{columns}")
    extra = [medians[epochs, True][1] - medians[epochs, False][1] for epochs in (options.epochs, 2 * options.epochs)]
    per_epoch = (extra[1] - extra[0]) / options.epochs
    once = extra[0] - per_epoch * options.epochs
    parts = f"{once:.1f} s once per training, {1000 * per_epoch:.0f} ms per epoch"
    print(f"\nprocessor time of tracking: {parts}, {import_seconds:.1f} s once per process for importing MLflow")


if __name__ == "__main__":
    main()
