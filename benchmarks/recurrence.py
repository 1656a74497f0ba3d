"""Is leaving out pack_padded_sequence worth it, and does it change anything?

The encoder of tfclass (two plain LSTMs, the backward one on sequences reversed within their own lengths) against
torch's packed bidirectional LSTM with the same weights, in one process, on batches of 64 sequences of 300 to 400
steps: reading embedded residues, as `bilstm_residues` does, and reading vectors as wide as a convolution stem hands on.
Also what a convolution with max-pooling ahead of the recurrence does to speed, and what other cells cost.

Usage: python benchmarks/recurrence.py [--threads 2] [--repeats 3]
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tfclass.config import ModelConfig, StemConfig
from tfclass.models.encoders import Recurrent, length_mask
from tfclass.models.factory import build
from tfclass.sequences.alphabet import Alphabet

B, H = 64, 128
SHORTEST, LONGEST = 300, 400
# E: of embedded residues, and of what the convolution stem of the default model hands on.
WIDTHS = {"residues": 64, "stem": 128}


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each; the median counts")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    # Longest first, as `corpus.batching` hands them on.
    lengths_B = torch.randint(SHORTEST, LONGEST + 1, (B,)).sort(descending=True).values
    print(f"B {B}, L {SHORTEST}-{LONGEST}, H {H}, {options.threads} threads, torch {torch.__version__}\n")
    for name, width in WIDTHS.items():
        compare_with_packed(f"{name}, E {width}", width, lengths_B, options.repeats, options.threads)
    none = StemConfig.default(name="none")
    stems = {"bilstm_residues": ModelConfig.default(stem=none), "bilstm (convolution, pool 3)": ModelConfig.default()}
    compare_models("stem", stems, lengths_B, options.repeats)
    names = ("bilstm", "peephole_lstm", "gru", "rnn")
    cells = {f"{name}, no stem": ModelConfig.default(encoder=name, stem=none) for name in names}
    compare_models("cell", cells, lengths_B, options.repeats)


def compare_with_packed(title: str, width: int, lengths_B: Tensor, repeats: int, threads: int):
    """Speed of the encoder against the packed LSTM, and the largest difference between their numbers."""
    packed = nn.LSTM(width, H, batch_first=True, bidirectional=True)
    ours = Recurrent(lambda width, hidden: nn.LSTM(width, hidden, batch_first=True), width, H)
    for module, suffix in ((ours.forwards[0], ""), (ours.backwards[0], "_reverse")):
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            getattr(module, name).data.copy_(getattr(packed, name + suffix).data)
    longest = int(lengths_B.max())
    x_BLE = torch.randn(B, longest, width)
    mask_BL1 = length_mask(lengths_B, longest)[..., None]

    def run_packed(x_BLE: Tensor, lengths_B: Tensor = lengths_B) -> Tensor:
        sequences = pack_padded_sequence(x_BLE, lengths_B, batch_first=True)
        return pad_packed_sequence(packed(sequences)[0], batch_first=True, total_length=x_BLE.shape[1])[0]

    def run_ours(x_BLE: Tensor, lengths_B: Tensor = lengths_B) -> Tensor:
        return ours(x_BLE, lengths_B)

    residues = int(lengths_B.sum())
    names = {"packed nn.LSTM": (packed, run_packed), "without packing": (ours, run_ours)}
    seconds = median_seconds([lambda m=m, r=r: train_step(m, r, x_BLE) for m, r in names.values()], repeats)
    print_rates(f"{title}, training", names, residues, seconds)

    parts = [
        (x[:, : int(lengths.max())], lengths)
        for x, lengths in zip(x_BLE.chunk(threads), lengths_B.chunk(threads), strict=True)
    ]
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def in_single_threads(run: Callable[[Tensor, Tensor], Tensor]) -> None:
            for done in [pool.submit(infer, run, *part) for part in parts]:
                done.result()

        # tfclass scores a batch on each core (models/forward.py); torch by itself shares one batch among all cores.
        calls = {
            "packed nn.LSTM, as torch runs it": lambda: infer(run_packed, x_BLE, lengths_B),
            "packed nn.LSTM, a part on each core": lambda: in_single_threads(run_packed),
            "without packing, as torch runs it": lambda: infer(run_ours, x_BLE, lengths_B),
            "without packing, a part on each core": lambda: in_single_threads(run_ours),
        }
        seconds = median_seconds(list(calls.values()), 5 * repeats)
    torch.set_num_threads(threads)
    print_rates(f"{title}, inference", calls, residues, seconds)

    # What a state on padding is, nobody reads; packing makes it zero.
    (states_p, gradient_p), (states_o, gradient_o) = (
        train_step(module, lambda x, run=run: run(x) * mask_BL1, x_BLE) for module, run in names.values()
    )
    print(f"largest difference: states {difference(states_p, states_o):.1e}, ", end="")
    print(f"input gradient {difference(gradient_p, gradient_o):.1e} (of {float(gradient_p.abs().max()):.1e})\n")


def print_rates(title: str, names: Iterable[str], residues: int, seconds: list[float]):
    """Print a line for each name; the ratio is to the first."""
    print(f"{title:<38}{'residues/s':>12}{'ratio':>8}")
    for name, taken in zip(names, seconds, strict=True):
        print(f"{name:<38}{residues / taken:>12,.0f}{seconds[0] / taken:>7.1f}x")
    print()


def compare_models(title: str, models: dict[str, ModelConfig], lengths_B: Tensor, repeats: int):
    """Speed of whole classifiers."""
    residues = int(lengths_B.sum())
    tokens_BL = torch.randint(1, 21, (B, int(lengths_B.max())))
    tokens_BL[~length_mask(lengths_B, tokens_BL.shape[1])] = 0
    built = [build(config, Alphabet(), n_classes=2) for config in models.values()]
    training = [lambda m=m: m(tokens_BL, lengths_B).sum().backward() for m in built]
    print_rates(f"{title}, training", models, residues, median_seconds(training, repeats))
    inference = [lambda m=m: infer(m, tokens_BL, lengths_B) for m in built]
    print_rates(f"{title}, inference", models, residues, median_seconds(inference, 5 * repeats))


def train_step(module: nn.Module, run: Callable[..., Tensor], x_BLE: Tensor) -> tuple[Tensor, Tensor]:
    """Forward and backward; the states and the gradient with respect to the input."""
    module.zero_grad()
    x_BLE = x_BLE.clone().requires_grad_()
    states_BLF = run(x_BLE)
    states_BLF.square().sum().backward()
    assert x_BLE.grad is not None
    return states_BLF.detach(), x_BLE.grad


@torch.inference_mode()
def infer(run: Callable[[Tensor, Tensor], Tensor], x: Tensor, lengths_B: Tensor) -> Tensor:
    """Forward without gradients."""
    return run(x, lengths_B)


def median_seconds(calls: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median seconds of each call.

    They take turns, so that a slow spell meets all of them. Each timed call follows one of its own kind that is not
    timed: threads of another kind keep spinning for a while after their work is done.
    """
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, taken in zip(calls, times, strict=True):
            call()
            started = time.perf_counter()
            call()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in times]


def difference(left: Tensor, right: Tensor) -> float:
    """Largest absolute difference."""
    return float((left - right).abs().max())


if __name__ == "__main__":
    main()
