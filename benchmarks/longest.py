"""What does the longest human protein need?

Titin has about 35,000 residues, and tfclass neither cuts a protein nor scores it in parts. So one protein of that
length sets the peak memory of scoring, and one in the training corpus that of training. Each network of conf/model, at
the size that its file gives, scores such a protein and, in another process, takes one training step on it (forward and
backward) in float32. `own` is the peak of the process less what it held with the network and the protein in place,
`total` is the peak itself, Python and torch included; `killed` stands where the system stopped the process, for want of
memory. The speed is that of scoring the protein once more.

Usage: python benchmarks/longest.py [--threads 2] [--length 35000] [model ...]
"""

import argparse
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import psutil
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from torch import Tensor
from torch.nn.functional import cross_entropy

from tfclass.config import ModelConfig, from_mapping
from tfclass.models.factory import build
from tfclass.models.forward import MAX_RESIDUES, collate, logits_of
from tfclass.models.network import Classifier
from tfclass.sequences.alphabet import AMINO_ACIDS, Alphabet
from tfclass.typing import TokenArray

MODELS = sorted(file.name.removesuffix(".yaml") for file in (files("tfclass.conf") / "model").iterdir())
# The unit of ru_maxrss.
UNIT = 1 if sys.platform == "darwin" else 1024


def main():
    """Print the table; with --task, measure one network in this process and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS, help="files of conf/model; all where none is given")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--length", type=int, default=35_000)
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        torch.set_num_threads(options.threads)
        print(json.dumps(measure(options.models[0], options.task, options.length)))
    else:
        print_table(options.models, options.length, options.threads)


def print_table(models: list[str], length: int, threads: int):
    """Print a line for each network."""
    machine = psutil.virtual_memory().total / 1e9
    print(f"one protein of {length:,} residues, {threads} threads, {machine:.0f} GB, torch {torch.__version__}\n")
    print(f"{'':<16}{'':>12}{'scoring, MB':>18}{'training, MB':>18}{'scoring,':>12}")
    print(f"{'network':<16}{'parameters':>12}{'own':>9}{'total':>9}{'own':>9}{'total':>9}{'residues/s':>12}")
    for name in models:
        scoring, training = (in_its_own_process(name, task, length, threads) for task in TASKS)
        print(f"{name:<16}", end="")
        print(f"{scoring['parameters']:>12,}" if scoring else f"{'':>12}", end="")
        for measured in (scoring, training):
            if measured:
                print(f"{measured['own'] / 1e6:>9,.0f}{measured['total'] / 1e6:>9,.0f}", end="")
            else:
                print(f"{'killed':>18}", end="")
        print(f"{length / scoring['seconds']:>12,.0f}" if scoring else "", flush=True)


def in_its_own_process(name: str, task: str, length: int, threads: int) -> dict[str, float] | None:
    """Measure in a fresh process, as a peak never falls; None where the system killed it."""
    command = [sys.executable, __file__, name, f"--task={task}", f"--length={length}", f"--threads={threads}"]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if finished.returncode == -signal.SIGKILL:
        return None
    finished.check_returncode()
    return json.loads(finished.stdout)


def measure(name: str, task: str, length: int) -> dict[str, float]:
    """Peak memory in bytes, and seconds of a second call where the task is scoring."""
    with initialize_config_module("tfclass.conf", version_base="1.3"):
        composed = OmegaConf.to_container(compose("train", [f"model={name}"]).model)
    assert isinstance(composed, dict)
    torch.manual_seed(0)
    model = build(from_mapping(ModelConfig, {str(key): value for key, value in composed.items()}), Alphabet(), 2)
    protein = np.random.default_rng(0).integers(1, len(AMINO_ACIDS) + 1, size=length).astype(np.uint8)

    before = psutil.Process().memory_info().rss
    TASKS[task](model, protein)
    total = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT
    started = time.perf_counter()
    if task == "scoring":
        score(model, protein)
    seconds = time.perf_counter() - started
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"parameters": parameters, "own": total - before, "total": total, "seconds": seconds}


def score(model: Classifier, protein: TokenArray):
    """Score as `tfclass predict` does; a protein longer than the budget is a batch of its own."""
    logits_of(model, [protein], MAX_RESIDUES)


def train_step(model: Classifier, protein: TokenArray):
    """Forward and backward."""
    loss: Tensor = cross_entropy(model(*collate([protein])), torch.tensor([1]))
    loss.backward()


TASKS: dict[str, Callable[[Classifier, TokenArray], None]] = {"scoring": score, "training": train_step}

if __name__ == "__main__":
    main()
