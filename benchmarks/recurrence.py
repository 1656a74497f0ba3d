"""Is leaving out pack_padded_sequence worth it, and does it change anything?

The encoder of tfclass (two plain LSTMs, the backward one on sequences reversed within their own lengths) against
torch's packed bidirectional LSTM with the same weights, in one process, on batches of 64 sequences of 300 to 400
residues. Also what a convolution with max-pooling ahead of the recurrence does to speed, and what other cells cost.

Usage: python benchmarks/recurrence.py [--threads 2] [--repeats 5]
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tfclass.config import ModelConfig, StemConfig
from tfclass.networks.encoders import Recurrent, length_mask
from tfclass.networks.zoo import build
from tfclass.sequence.vocabulary import Vocabulary

B, E, H = 64, 64, 128
SHORTEST, LONGEST = 300, 400


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each; the fastest counts")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    lengths_B = torch.randint(SHORTEST, LONGEST + 1, (B,))
    print(f"B {B}, L {SHORTEST}-{LONGEST}, E {E}, H {H}, {options.threads} threads, torch {torch.__version__}\n")
    compare_with_packed(lengths_B, options.repeats)
    none = StemConfig(name="none")
    stems = {"bilstm_residues": ModelConfig(stem=none), "bilstm (convolution, pool 3)": ModelConfig()}
    compare_models("stem", stems, lengths_B, options.repeats)
    names = ("bilstm", "peephole_lstm", "gru", "rnn")
    cells = {f"{name}, no stem": ModelConfig(name=name, stem=none) for name in names}
    compare_models("cell", cells, lengths_B, options.repeats)


def compare_with_packed(lengths_B: Tensor, repeats: int):
    """Speed of the encoder against the packed LSTM, and the largest difference between their numbers."""
    packed = nn.LSTM(E, H, batch_first=True, bidirectional=True)
    ours = Recurrent(lambda width, hidden: nn.LSTM(width, hidden, batch_first=True), E, H)
    for module, suffix in ((ours.forwards[0], ""), (ours.backwards[0], "_reverse")):
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            getattr(module, name).data.copy_(getattr(packed, name + suffix).data)
    longest = int(lengths_B.max())
    x_BLE = torch.randn(B, longest, E)
    mask_BL1 = length_mask(lengths_B, longest)[..., None]

    def run_packed(x_BLE: Tensor) -> Tensor:
        sequences = pack_padded_sequence(x_BLE, lengths_B, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(packed(sequences)[0], batch_first=True, total_length=longest)[0]

    def run_ours(x_BLE: Tensor) -> Tensor:
        return ours(x_BLE, lengths_B) * mask_BL1

    residues = int(lengths_B.sum())
    rates = {}
    numbers = {}
    for name, module, run in (("packed nn.LSTM", packed, run_packed), ("without packing", ours, run_ours)):
        rates[name] = (
            residues / fastest(lambda m=module, r=run: train_step(m, r, x_BLE), repeats),
            residues / fastest(lambda r=run: infer(r, x_BLE), repeats),
        )
        numbers[name] = train_step(module, run, x_BLE)
    print(f"{'encoder':<18}{'training, residues/s':>22}{'inference, residues/s':>23}")
    for name, (training, inference) in rates.items():
        print(f"{name:<18}{training:>22,.0f}{inference:>23,.0f}")
    (train_p, infer_p), (train_o, infer_o) = rates.values()
    print(f"{'ratio':<18}{train_o / train_p:>21.1f}x{infer_o / infer_p:>22.1f}x")
    (states_p, gradient_p), (states_o, gradient_o) = numbers.values()
    print(f"largest difference: states {difference(states_p, states_o):.1e}, ", end="")
    print(f"input gradient {difference(gradient_p, gradient_o):.1e} (of {float(gradient_p.abs().max()):.1e})\n")


def compare_models(title: str, models: dict[str, ModelConfig], lengths_B: Tensor, repeats: int):
    """Speed of whole classifiers; the ratio of each is to the first."""
    residues = int(lengths_B.sum())
    tokens_BL = torch.randint(1, 21, (B, int(lengths_B.max())))
    tokens_BL[~length_mask(lengths_B, tokens_BL.shape[1])] = 0
    print(f"{title:<30}{'training, residues/s':>22}{'ratio':>7}{'inference, residues/s':>23}{'ratio':>7}")
    first = None
    for name, config in models.items():
        model = build(config, Vocabulary(), n_classes=2)

        def score(tokens_BL: Tensor, model: nn.Module = model) -> Tensor:
            return model(tokens_BL, lengths_B)

        training = residues / fastest(lambda s=score: s(tokens_BL).sum().backward(), repeats)
        inference = residues / fastest(lambda s=score: infer(s, tokens_BL), repeats)
        first = first or (training, inference)
        ratios = f"{training / first[0]:>6.2f}x", f"{inference / first[1]:>6.2f}x"
        print(f"{name:<30}{training:>22,.0f}{ratios[0]}{inference:>23,.0f}{ratios[1]}")
    print()


def train_step(module: nn.Module, run: Callable[[Tensor], Tensor], x_BLE: Tensor) -> tuple[Tensor, Tensor]:
    """Forward and backward; the states and the gradient with respect to the input."""
    module.zero_grad()
    x_BLE = x_BLE.clone().requires_grad_()
    states_BLF = run(x_BLE)
    states_BLF.square().sum().backward()
    assert x_BLE.grad is not None
    return states_BLF.detach(), x_BLE.grad


@torch.inference_mode()
def infer(run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Forward without gradients."""
    return run(x)


def fastest(call: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of several calls, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def difference(left: Tensor, right: Tensor) -> float:
    """Largest absolute difference."""
    return float((left - right).abs().max())


if __name__ == "__main__":
    main()
