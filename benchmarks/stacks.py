"""Measure how the layout of its convolutions speeds up the training of DeepReg's architecture on a CPU.

    python benchmarks/stacks.py [--batches 40] [--rounds 3] [--threads 0]

The same network, batches and weights, in bfloat16, alternately:

* padded: convolutions over padded sequences, a mask for batch normalisation, `nn.Dropout`: the direct way;
* in a line: only real positions, side by side for the convolutions (`tfclass.models.stacks.Line`), `nn.Dropout`;
* as it is: in a line, with `tfclass.models.encoders.Dropout`.

Prints residues per second of the training steps, the ratio of the medians, and the largest difference between the
logits of the first two in float64, without dropout. Every batch has another shape, as in training.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfclass.config import ModelConfig, StemConfig
from tfclass.models.encoders import length_mask
from tfclass.models.factory import build
from tfclass.models.forward import Batch, collate, shuffled_batches
from tfclass.models.front import max_pooled
from tfclass.models.network import Classifier
from tfclass.models.stacks import ConvolutionLayer, StackStem
from tfclass.sequences.alphabet import Alphabet

STACKS = ((4, 4, 16), (12, 8, 4), (16, 4, 4), (6, 6, 12))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: torch chooses")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    ways: dict[str, Callable[[Classifier], Classifier]] = {
        "padded": padded,
        "in a line": with_torch_dropout,
        "as it is": lambda network: network,
    }
    batches = random_batches(options.batches)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, change in ways.items():
            taken[name].append(residues_per_second(change(deepreg(dropout=0.1)), batches))
    print(f"{options.batches} batches, {torch.get_num_threads()} threads, torch {torch.__version__}", end="; ")
    print(f"medians of {options.rounds}\n\n{'':12}{'residues/s':>12}{'ratio':>8}")
    rates = {name: statistics.median(runs) for name, runs in taken.items()}
    for name, rate in rates.items():
        print(f"{name:12}{rate:>12,.0f}{rate / rates['padded']:>7.2f}x")
    print(f"\nlargest difference of logits: {difference(batches[0]):.1e}")


def deepreg(dropout: float) -> Classifier:
    torch.manual_seed(0)
    stem = StemConfig.default(name="stacks", stacks=STACKS, pool=2)
    return build(ModelConfig.default(embedding="one_hot", stem=stem, hidden=128, dropout=dropout), Alphabet(), 2)


def random_batches(n: int) -> list[Batch]:
    """Batches of proteins of natural lengths (their logarithms are normal) and of no meaning."""
    rng = np.random.default_rng(0)
    lengths = rng.lognormal(6.0, 0.6, 60 * n).clip(30, 4000).astype(int)
    tokens = [rng.integers(1, 21, length, dtype=np.uint8) for length in lengths]
    return [collate([tokens[row] for row in rows]) for rows in shuffled_batches(lengths, 16384, rng)[:n]]


def residues_per_second(network: Classifier, batches: list[Batch]) -> float:
    """Train on all batches; the first is not timed."""
    network.train()
    optimizer = torch.optim.AdamW(network.parameters())
    started, residues = 0.0, 0
    for number, batch in enumerate(batches):
        if number == 1:
            started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            logits_BC = network(batch.tokens_BL, batch.lengths_B)
        loss = F.cross_entropy(logits_BC.float(), batch.lengths_B % 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        residues += int(batch.lengths_B.sum()) if number else 0
    return residues / (time.perf_counter() - started)


def difference(batch: Batch) -> float:
    networks = [change(deepreg(dropout=0.0).double().train()) for change in (lambda network: network, padded)]
    with torch.no_grad():
        ours_BC, theirs_BC = (network(batch.tokens_BL, batch.lengths_B) for network in networks)
    return float((ours_BC - theirs_BC).abs().max())


def with_torch_dropout(network: Classifier) -> Classifier:
    for layer in network.modules():
        if isinstance(layer, ConvolutionLayer):
            layer.dropout = nn.Dropout(layer.dropout.p)  # type: ignore[assignment]
    return network


def padded(network: Classifier) -> Classifier:
    """Put the same weights behind convolutions over padded sequences."""
    stem = with_torch_dropout(network).stem
    assert isinstance(stem, StackStem)
    network.stem = PaddedStem(stem)  # type: ignore[assignment]
    return network


class PaddedStem(nn.Module):
    """The stem over padded sequences."""

    def __init__(self, stem: StackStem):
        super().__init__()
        self.stem, self.pool = stem, stem.pool

    def forward(self, x_BLE: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Detect motifs and shorten."""
        mask_BL = length_mask(lengths_B, x_BLE.shape[1])
        found = []
        for stack in self.stem.stacks:
            found_BFL = x_BLE.transpose(1, 2)
            for layer in stack:
                found_BFL = convolved(layer, found_BFL, mask_BL)
            found.append(found_BFL)
        return max_pooled(convolved(self.stem.merge, torch.cat(found, dim=1), mask_BL), lengths_B, self.pool)


def convolved(layer: ConvolutionLayer, x_BFL: Tensor, mask_BL: Tensor) -> Tensor:
    found_BLF = layer.convolution(F.pad(x_BFL, layer.margins)).transpose(1, 2)
    out_BLF = torch.zeros_like(found_BLF)
    out_BLF[mask_BL] = layer.dropout(F.relu(layer.norm(found_BLF[mask_BL])))
    return out_BLF.transpose(1, 2)


if __name__ == "__main__":
    main()
