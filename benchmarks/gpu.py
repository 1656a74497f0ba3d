"""Train and predict on a GPU in float32 and bfloat16, and compare the numbers with those of the CPU; within 8 minutes.

    python benchmarks/gpu.py [--seconds 300]
    python benchmarks/gpu.py --device cpu --seconds 20      # the same steps where there is no GPU

Prints residues per second of the whole training (after start-up) and prediction, the share of that time in which the
network does not work (what remains when batches lie ready on the device), and the largest differences from the CPU in
float32; ends with status 1 where one is too large. On a CPU, prediction runs a batch on each core, and its share is
rough.

Of what tfclass needs, torch, numpy, pandas, pyarrow, scikit-learn, pydantic, backports.zstd, safetensors, pyyaml,
psutil and filelock are enough: `pip install --no-deps` of a wheel of tfclass, on a machine without the rest.
"""

import argparse
import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training import random_proteins

from tfclass.bundle.bundle import Bundle, load_bundle
from tfclass.config import (
    CalibrationConfig,
    CorpusConfig,
    ModelConfig,
    RuntimeConfig,
    TrackingConfig,
    TrainConfig,
    TrainingConfig,
)
from tfclass.data.split import select_split
from tfclass.data.table import LabelledProteins, read_table
from tfclass.inference.predictor import Predictor
from tfclass.models.factory import build
from tfclass.models.forward import Batch, Precision, collate, evaluating, logits_of, longest_first_batches, scores_of
from tfclass.pipelines.train import train_and_package
from tfclass.sequences.alphabet import Alphabet
from tfclass.sequences.fasta import Record
from tfclass.training.losses import TrainingLoss
from tfclass.training.trainer import Callbacks, Interrupted, Trainer
from tfclass.typing import IntArray

PRECISIONS: tuple[Precision, ...] = ("float32", "bf16")
# Of the proteins, and the padded residues in a batch, by device: the default, and what fills a GPU.
PROTEINS = {"cuda": 20_000, "cpu": 200}
MAX_RESIDUES = {"cuda": (16_384, 131_072), "cpu": (8_192,)}
# Proteins and training steps that are computed on the CPU too, and how far they may be away: probabilities, and the
# loss in relation to itself. cuDNN multiplies float32 as TensorFloat-32, of 10 bits.
N_COMPARED, N_STEPS = 100, 10
TOLERATED = {"float32": 0.005, "bf16": 0.05, "loss": 0.005}


@dataclass
class Machine:
    """The device, working folder, proteins and duration in seconds that all measurements share."""

    device: torch.device
    folder: Path
    proteins: LabelledProteins
    seconds: float

    def wait(self) -> None:
        """Wait for what the device still computes."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=300, help="in all, without start-up (a minute or so)")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device is here; on the CPU: python benchmarks/gpu.py --device cpu --seconds 20")
        return
    name = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    sizes = MAX_RESIDUES[options.device]
    # Each size and precision is trained and predicted, and each is repeated without what is outside the network.
    part = options.seconds / (len(sizes) * len(PRECISIONS) * 4)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "random.tsv"
        random_proteins(PROTEINS[options.device]).to_csv(table, sep="\t", index=False)
        proteins = read_table(CorpusConfig.default(path=str(table)), Alphabet())
        machine = Machine(torch.device(options.device), Path(folder), proteins, part)
        print(f"{name}; torch {torch.__version__}; {len(proteins.labels):,} proteins, random residues")
        bundle = speeds(machine, sizes)
        sys.exit(0 if parity(machine, bundle) else 1)


def speeds(machine: Machine, sizes: Sequence[int]) -> Bundle:
    """Print residues per second, and the share of time outside the network; return the first model trained."""
    print(f"\n{'':10}{'precision':>10}{'max_residues':>14}{'residues/s':>13}{'outside the network':>21}{'loss':>9}")
    bundles = []
    for size, precision in itertools.product(sizes, PRECISIONS):
        bundle, rate, loss = trained(machine, size, precision)
        bundles.append(bundle)
        row("train", precision, size, rate, training_network(machine, bundle, size, precision), f"{loss:>9.4f}")
    for size, precision in itertools.product(sizes, PRECISIONS):
        rate = predicted(machine, bundles[0], size, precision)
        row("predict", precision, size, rate, scoring_network(machine, bundles[0], size, precision))
    return bundles[0]


def row(what: str, precision: str, size: int, rate: float, network_rate: float, more: str = "") -> None:
    outside = max(0.0, 1 - rate / network_rate)
    print(f"{what:10}{precision:>10}{size:>14,}{rate:>13,.0f}{outside:>21.0%}{more}", flush=True)


def trained(machine: Machine, size: int, precision: str) -> tuple[Bundle, float, float]:
    """Train as `tfclass train` does; return the model, residues per second of the steps, and the last epoch's loss."""
    amp = {"float32": "never", "bf16": "always"}[precision]
    endless, calibration = 10**6, CalibrationConfig.default(method="none")
    training = {"epochs": endless, "patience": endless, "minutes": machine.seconds / 60, "calibration": calibration}
    config = TrainConfig.default(
        corpus=CorpusConfig.default(path=str(machine.folder / "random.tsv"), name="random"),
        training=TrainingConfig.default(max_residues=size, amp=amp, **training),
        tracking=TrackingConfig.default(enabled=False),
        runtime=RuntimeConfig.default(device=machine.device.type),
        run_dir=str(machine.folder / f"{precision}-{size}"),
    )
    result = train_and_package(config)
    residues, seconds = (sum(entry[f"train_{key}"] for entry in result.history) for key in ("residues", "seconds"))
    return load_bundle(result.bundle), residues / seconds, result.history[-1]["train_loss"]


def training_network(machine: Machine, bundle: Bundle, size: int, precision: str) -> float:
    """Return residues per second of training steps whose batches lie ready on the device."""
    model, config = bundle.model.to(machine.device).train(), TrainingConfig.default()
    loss = TrainingLoss(machine.proteins, config, model.stem.pool, machine.device)
    optimizer = torch.optim.AdamW(model.parameters())

    def step(batch: Batch, rows: IntArray) -> None:
        with torch.autocast(machine.device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = model.all_heads(batch.tokens_BL, batch.lengths_B)
        optimizer.zero_grad()
        loss(logits, batch.lengths_B, rows)[0].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimizer.step()

    return rate_of(machine, size, step)


def predicted(machine: Machine, bundle: Bundle, size: int, precision: Precision) -> float:
    """Predict as `tfclass predict` does; return residues per second."""
    predictor = Predictor(bundle, device=machine.device, max_residues=size, precision=precision)
    records = [Record(str(i), "", sequence) for i, sequence in enumerate(machine.proteins.frame["sequence"])]
    list(predictor.predict(records[:100]))
    started, n_rows = time.perf_counter(), 0
    while not n_rows or time.perf_counter() - started < machine.seconds:
        n_rows += sum(1 for _ in predictor.predict(records))
    return n_rows / len(records) * float(machine.proteins.lengths.sum()) / (time.perf_counter() - started)


def scoring_network(machine: Machine, bundle: Bundle, size: int, precision: str) -> float:
    """Return residues per second of scoring batches that lie ready on the device."""
    model = bundle.model.to(machine.device)
    front = model.lookup() if machine.device.type == "cpu" else None

    def step(batch: Batch, _: IntArray) -> None:
        with torch.inference_mode(), torch.autocast(machine.device.type, torch.bfloat16, enabled=precision == "bf16"):
            model.all_heads(batch.tokens_BL, batch.lengths_B, front)

    with evaluating(model):
        return rate_of(machine, size, step)


def rate_of(machine: Machine, size: int, step: Callable[[Batch, IntArray], Any]) -> float:
    """Call a step for one batch after another; return residues per second."""
    batches = longest_first_batches(machine.proteins.lengths, size)
    ready = [(collate([machine.proteins.tokens[i] for i in rows]).to(machine.device), rows) for rows in batches]
    step(*ready[0])
    machine.wait()
    started, residues = time.perf_counter(), 0
    for n_done, (batch, rows) in enumerate(itertools.cycle(ready)):
        # Whole rounds: batches of long proteins are no faster or slower than they should be on average.
        if n_done % len(ready) == 0 and n_done and time.perf_counter() - started > machine.seconds:
            break
        step(batch, rows)
        residues += int(machine.proteins.lengths[rows].sum())
        if n_done % len(ready) == len(ready) - 1:
            machine.wait()
    return residues / (time.perf_counter() - started)


def parity(machine: Machine, bundle: Bundle) -> bool:
    """Print the largest differences from the CPU; return whether all are small enough."""
    tokens = machine.proteins.tokens[:N_COMPARED]
    expected_NC = torch.from_numpy(logits_of(bundle.model.cpu(), tokens, 16_384)).softmax(dim=1)
    differences = {}
    for precision in PRECISIONS:
        scores = scores_of(bundle.model.to(machine.device), tokens, 16_384, precision)
        found_NC = torch.from_numpy(scores.logits_NC).softmax(dim=1)
        differences[precision] = float((found_NC - expected_NC).abs().max())
    losses, own = (first_losses(machine, device) for device in (torch.device("cpu"), machine.device))
    differences["loss"] = float(np.max(np.abs(own / losses - 1)))
    print(
        f"\nlargest difference from the CPU in float32, and the one tolerated; {N_COMPARED} proteins, {N_STEPS} steps"
    )
    for name, difference in differences.items():
        what = "training loss, in relation" if name == "loss" else f"probability, {name}"
        print(f"{what:28}{difference:>12.1e}{TOLERATED[name]:>10.1e}")
    return all(difference <= TOLERATED[name] for name, difference in differences.items())


def first_losses(machine: Machine, device: torch.device) -> np.ndarray:
    """Return the mean loss after each of the first steps of a training without dropout, from the same weights."""
    torch.manual_seed(0)
    model = build(replace(ModelConfig.default(), dropout=0.0), Alphabet(), 2).to(device)
    training, validation = (select_split(machine.proteins, name, "random.tsv") for name in ("train", "valid"))
    losses: list[float] = []
    callbacks = Callbacks(on_step=lambda _, __, loss: losses.append(loss), should_stop=lambda: len(losses) == N_STEPS)
    options = {"alphabet": Alphabet(), "seed": 0, "folder": machine.folder, "callbacks": callbacks}
    with contextlib.suppress(Interrupted):
        Trainer(model, training, validation, TrainingConfig.default(amp="never"), **options).run()
    return np.array(losses)


if __name__ == "__main__":
    main()
