"""How far apart may two residues be, and a recurrent network still learn that they belong together?

Sequences of background residues carry two informative ones, each K or E, a known distance apart, the second at the end;
the label says whether both are the same. Every background comes with all four pairs, so nothing but the pair tells the
label. A plain RNN, an LSTM, a peephole LSTM and a GRU (one direction, the last state is read) are trained on it, from
torch's default start and from one made for memory. Beside the accuracy: the gradient of the loss with respect to every
state on the way, and what clipping does to a plain RNN whose recurrent matrix is too large.

Usage: python benchmarks/long_range.py [--threads 1] [--steps 500] [--figures docs/figures] [--quick]
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from tfclass.config import ModelConfig, StemConfig
from tfclass.models.encoders import Recurrent
from tfclass.models.factory import build
from tfclass.models.lstm import LSTM, lstm_step
from tfclass.models.network import Classifier
from tfclass.sequences.alphabet import AMINO_ACIDS, Alphabet

KINDS = "KE"
BACKGROUND = "".join(letter for letter in AMINO_ACIDS if letter not in KINDS)
# Background residues ahead of the first informative one, which therefore does not stand at the start.
LEAD = 5
B, E, H = 32, 16, 32
# Distance: networks of each kind that are trained there, which differ by seed.
SEEDS = {10: 5, 30: 5, 100: 3, 300: 3, 1000: 2}
CHECK_EVERY, SOLVED = 25, 0.995
CLIP_NORM = 1.0
# The recurrent matrix of an RNN that starts with memory: a rotation times this, the best of several from 1 to 1.5.
RADIUS_MEMORY = 1.3
# The experiment on clipping.
RADIUS_EXPLODING, DISTANCE_CLIPPING, RATE_CLIPPING = 1.5, 20, 0.3
# What makes a PNG file small.
SMALL = {"optimize": True}


class Kind(NamedTuple):
    """A network, and how it is trained: `start` is default, forget or memory, `rate` was found by trials."""

    label: str
    name: str
    start: str
    rate: float


KINDS_OF_NETWORK = (
    Kind("RNN", "rnn", "default", 0.003),
    Kind("LSTM", "lstm", "default", 0.01),
    Kind("GRU", "gru", "default", 0.02),
    Kind("LSTM, forget bias", "lstm", "forget", 0.01),
    Kind("RNN, memory", "rnn", "memory", 0.001),
    Kind("LSTM, memory", "lstm", "memory", 0.01),
    Kind("peephole, memory", "peephole_lstm", "memory", 0.01),
    Kind("GRU, memory", "gru", "memory", 0.02),
)
# Okabe and Ito's colours, which colour-blind readers can tell apart.
STYLES = {
    "rnn": ("RNN", "#D55E00", "o"),
    "lstm": ("LSTM", "#0072B2", "s"),
    "peephole_lstm": ("peephole LSTM", "#CC79A7", "D"),
    "gru": ("GRU", "#009E73", "^"),
}


class Outcome(NamedTuple):
    """What became of one network: `before` and `after` training, the gradient's norm by steps from the end."""

    accuracy: float
    steps: int
    before: dict[str, Tensor]
    after: dict[str, Tensor]


Outcomes = dict[tuple[str, int], list[Outcome]]


def main():
    """Run the experiments, print the tables, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=500, help="batches at most; fewer where a network is done sooner")
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"), help="folder for the figures")
    parser.add_argument("--quick", action="store_true", help="a few steps at two distances, to see that it runs")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # Vanished gradients are numbers of the slow kind that no result depends on.
    torch.set_flush_denormal(True)
    seeds, steps = ({5: 1, 10: 1}, 4) if options.quick else (SEEDS, options.steps)
    distances = list(seeds)
    options.figures.mkdir(parents=True, exist_ok=True)
    print(f"H {H}, E {E}, batches of {B}, at most {steps} steps, Adam, clipped at norm {CLIP_NORM:g}, ", end="")
    print(f"{options.threads} thread{'s' * (options.threads > 1)}, torch {torch.__version__}")

    started = time.perf_counter()
    outcomes = {(kind.label, d): run_all(kind, d, seeds[d], steps) for d in distances for kind in KINDS_OF_NETWORK}
    print_tables(outcomes, distances)
    draw_accuracy(outcomes, distances).savefig(options.figures / "long-range-accuracy.png", pil_kwargs=SMALL)
    draw_gradients(outcomes, distances[-2]).savefig(options.figures / "long-range-gradient.png", pil_kwargs=SMALL)

    runs = {
        clip: [train_exploding(seed, clip, 4 if options.quick else 600) for seed in range(1 if options.quick else 5)]
        for clip in (None, CLIP_NORM)
    }
    print_clipping(runs)
    draw_clipping({clip: run[0] for clip, run in runs.items()}).savefig(
        options.figures / "long-range-clipping.png", pil_kwargs=SMALL
    )
    print(f"\n{(time.perf_counter() - started) / 60:.1f} minutes")


# The task.


def make_batch(distance: int, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw sequences, every background with all four pairs; tokens_BL and labels_B, 1 where the pair is alike."""
    background, kinds = (torch.tensor(list(Alphabet().encode(letters))) for letters in (BACKGROUND, KINDS))
    drawn = torch.randint(len(background), (size // 4, LEAD + distance + 1), generator=generator)
    tokens_BL = background[drawn].repeat(4, 1)
    pairs_B2 = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]).repeat_interleave(size // 4, dim=0)
    tokens_BL[:, [LEAD, LEAD + distance]] = kinds[pairs_B2]
    return tokens_BL.long(), (pairs_B2[:, 0] == pairs_B2[:, 1]).long()


# The networks.


def make_network(kind: Kind, distance: int, seed: int) -> Classifier:
    """Build the network with fresh weights."""
    torch.manual_seed(seed)
    gated = kind.name in ("lstm", "peephole_lstm")
    config = ModelConfig.default(
        encoder=kind.name,
        embedding_dim=E,
        stem=StemConfig.default(name="none"),
        hidden=H,
        directions=1,
        forget_bias=math.log(distance) if gated and kind.start != "default" else None,
        pooling="last",
        head_hidden=H,
        dropout=0.0,
    )
    model = build(config, Alphabet(), n_classes=2)
    if kind.start == "memory":
        start_with_memory(recurrent_layer(model), math.log(distance))
    return model


def recurrent_layer(model: Classifier) -> nn.Module:
    """Give the one recurrent layer."""
    assert isinstance(model.encoder, Recurrent)
    return model.encoder.forwards[0]


@torch.no_grad()
def start_with_memory(layer: nn.Module, bias: float):
    """Complete the start that keeps a state for exp(bias) steps; an LSTM has its forget gate's bias already."""
    if isinstance(layer, nn.LSTM):
        layer.get_parameter("bias_ih_l0")[:H] = -bias
        layer.get_parameter("bias_hh_l0")[:H] = 0.0
    elif isinstance(layer, LSTM):
        layer.bias_G[:H] = -bias
    elif isinstance(layer, nn.GRU):
        layer.get_parameter("bias_ih_l0")[H : 2 * H] = bias
        layer.get_parameter("bias_hh_l0")[H : 2 * H] = 0.0
    else:
        set_spectral_radius(layer, RADIUS_MEMORY)


@torch.no_grad()
def set_spectral_radius(layer: nn.Module, radius: float):
    """Make the recurrent matrix of a plain RNN a rotation times `radius`."""
    weight_HH = layer.get_parameter("weight_hh_l0")
    nn.init.orthogonal_(weight_HH, gain=radius)
    assert math.isclose(float(torch.linalg.eigvals(weight_HH).abs().max()), radius, rel_tol=1e-4)


# Training.


def run_all(kind: Kind, distance: int, seeds: int, steps: int) -> list[Outcome]:
    """Train one network per seed."""
    return [run_one(kind, distance, seed, steps) for seed in range(seeds)]


def run_one(kind: Kind, distance: int, seed: int, steps: int) -> Outcome:
    """Train a network; accuracy is on sequences drawn for the purpose, after training has stopped."""
    model = make_network(kind, distance, seed)
    before = gradient_norms(model, distance)
    taken = train(model, distance, seed, steps, kind.rate)
    accuracy = measure_accuracy(model, make_batch(distance, 512, torch.Generator().manual_seed(2000 + seed)))
    print(f"{kind.label}, distance {distance}, seed {seed}: {accuracy:.3f} after {taken} steps", file=sys.stderr)
    return Outcome(accuracy, taken, before, gradient_norms(model, distance))


def train(model: Classifier, distance: int, seed: int, steps: int, rate: float) -> int:
    """Train until validation says that the task is solved, or for `steps` batches; how many it took."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(1000 + seed)
    validation = make_batch(distance, 256, torch.Generator().manual_seed(3000 + seed))
    for step in range(1, steps + 1):
        train_step(model, make_batch(distance, B, generator), optimiser, CLIP_NORM)
        if step % CHECK_EVERY == 0 and measure_accuracy(model, validation) >= SOLVED:
            return step
    return steps


def train_step(
    model: Classifier, batch: tuple[Tensor, Tensor], optimiser: torch.optim.Optimizer, clip: float | None
) -> tuple[float, float]:
    """Take one step; the gradient's norm, before it was clipped, and the loss."""
    tokens_BL, labels_B = batch
    loss = F.cross_entropy(model(tokens_BL, full_lengths(tokens_BL)), labels_B)
    optimiser.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), math.inf if clip is None else clip)
    optimiser.step()
    return norm.item(), loss.item()


@torch.inference_mode()
def measure_accuracy(model: Classifier, batch: tuple[Tensor, Tensor]) -> float:
    """Share of sequences that are labelled rightly."""
    tokens_BL, labels_B = batch
    return float((model(tokens_BL, full_lengths(tokens_BL)).argmax(dim=1) == labels_B).float().mean())


def full_lengths(tokens_BL: Tensor) -> Tensor:
    """Lengths of sequences without padding."""
    return torch.full((len(tokens_BL),), tokens_BL.shape[1])


def train_exploding(seed: int, clip: float | None, steps: int) -> list[tuple[float, float]]:
    """Train a plain RNN of a large recurrent matrix by plain gradient descent; norm and loss by step."""
    model = make_network(Kind("RNN", "rnn", "default", RATE_CLIPPING), DISTANCE_CLIPPING, seed)
    set_spectral_radius(recurrent_layer(model), RADIUS_EXPLODING)
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE_CLIPPING)
    generator = torch.Generator().manual_seed(1000 + seed)
    batches = (make_batch(DISTANCE_CLIPPING, B, generator) for _ in range(steps))
    return [train_step(model, batch, optimiser, clip) for batch in batches]


# The gradient on its way back.


def gradient_norms(model: Classifier, distance: int) -> dict[str, Tensor]:
    """Norm of the gradient by state and steps from the end, relative to that of the last h; medians of sequences."""
    # In float32 a vanishing gradient would be lost altogether.
    model.double()
    gradients = state_gradients(model, *make_batch(distance, B, torch.Generator().manual_seed(4000)))
    model.float()
    norms = {name: gradient_LBH.norm(dim=2).flip(0) for name, gradient_LBH in gradients.items()}
    return {name: (norm_LB / norms["h"][0]).median(dim=1).values for name, norm_LB in norms.items()}


def state_gradients(model: Classifier, tokens_BL: Tensor, labels_B: Tensor) -> dict[str, Tensor]:
    """Total derivative of the summed loss by every state: h_LBH, and c_LBH for an LSTM.

    Each state is a node of the graph, so that its gradient holds every way from there to the loss. The states that
    a fused layer returns would only tell of the direct one: zero, but for the last.
    """
    states = step_through(recurrent_layer(model), model.embedding(tokens_BL))
    loss = F.cross_entropy(model.head(model.hidden(states["h"][-1])), labels_B, reduction="sum")
    nodes = [node for each in states.values() for node in each]
    gradients = iter(torch.autograd.grad(loss, nodes))
    return {name: torch.stack([next(gradients) for _ in each]) for name, each in states.items()}


def step_through(layer: nn.Module, x_BLE: Tensor) -> dict[str, list[Tensor]]:
    """Run a layer one step at a time; the states h_BH of all steps, and the cells c_BH for an LSTM."""
    h_BH = c_BH = x_BLE.new_zeros(len(x_BLE), H)
    states: list[Tensor] = []
    cells: list[Tensor] = []
    if not isinstance(layer, nn.LSTM | LSTM):
        for x_BE in x_BLE.unbind(dim=1):
            h_BH = layer(x_BE[:, None], h_BH[None])[1][0]
            states.append(h_BH)
        return {"h": states}
    weight_x_GE, weight_h_GH, bias_G, weight_c = lstm_weights(layer)
    for x_BE in x_BLE.unbind(dim=1):
        step = lstm_step(F.linear(x_BE, weight_x_GE, bias_G) + h_BH @ weight_h_GH.T, c_BH, weight_c)
        h_BH, c_BH = step.h, step.c
        states.append(h_BH)
        cells.append(c_BH)
    return {"h": states, "c": cells}


def lstm_weights(layer: nn.LSTM | LSTM) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Weights of input and state, bias and peepholes of either LSTM."""
    if isinstance(layer, LSTM):
        return layer.weight_x_GE, layer.weight_h_GH, layer.bias_G, layer.weight_c
    weight_x_GE, weight_h_GH, bias_x_G, bias_h_G = (
        layer.get_parameter(f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return weight_x_GE, weight_h_GH, bias_x_G + bias_h_G, None


# Tables.


def print_tables(outcomes: Outcomes, distances: Sequence[int]):
    """Print accuracy, steps and gradient by network and distance."""

    def ratio(norms: dict[str, Tensor], distance: int) -> str:
        value = float(norms["c" if "c" in norms else "h"][distance])
        # Less than float64 can hold.
        return f"{value:.1e}" if value else "< 1e-300"

    print_table(
        "accuracy, %: mean (lowest-highest)",
        outcomes,
        distances,
        lambda each, _: span([100 * o.accuracy for o in each]),
    )
    print_table(
        "batches taken: mean (lowest-highest)",
        outcomes,
        distances,
        lambda each, _: span([one.steps for one in each]),
    )
    title = "gradient at the first informative residue, relative to the last state, "
    print_table(title + "before training", outcomes, distances, lambda each, d: ratio(each[0].before, d))
    print_table(title + "after it", outcomes, distances, lambda each, d: ratio(each[0].after, d))


def print_table(title: str, outcomes: Outcomes, distances: Sequence[int], cell: Callable[[list[Outcome], int], str]):
    """Print a line for each network, a column for each distance."""
    print(f"\n{title}\n{'distance':<18}" + "".join(f"{distance:>14}" for distance in distances))
    for kind in KINDS_OF_NETWORK:
        print(f"{kind.label:<18}" + "".join(f"{cell(outcomes[kind.label, d], d):>14}" for d in distances))


def span(values: Sequence[float]) -> str:
    """Mean, with the range where there is one."""
    mean, lowest, highest = (f"{value:.0f}" for value in (sum(values) / len(values), min(values), max(values)))
    return mean if lowest == highest else f"{mean} ({lowest}-{highest})"


def print_clipping(runs: dict[float | None, list[list[tuple[float, float]]]]):
    """Print what the clipped and the other networks came to."""
    print(f"\nplain RNN, spectral radius {RADIUS_EXPLODING}, distance {DISTANCE_CLIPPING}, ", end="")
    print(f"plain gradient descent, learning rate {RATE_CLIPPING}")
    print(f"{'':<20}{'largest norm':<32}mean loss of the last 50 steps, by seed")
    for clip, each in runs.items():
        norms = " ".join(f"{max(norm for norm, _ in run):>5.1f}" for run in each)
        losses = " ".join(f"{sum(loss for _, loss in run[-50:]) / len(run[-50:]):.3f}" for run in each)
        print(f"{'not clipped' if clip is None else f'clipped at norm {clip:g}':<20}{norms:<32}{losses}")


# Figures.


def draw_accuracy(outcomes: Outcomes, distances: Sequence[int]) -> Figure:
    """Accuracy by distance: a mark for each seed, a line through the means."""
    figure = Figure(figsize=(9, 3.9), dpi=100, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, default in zip(panels, (True, False), strict=True):
        kinds = [kind for kind in KINDS_OF_NETWORK if (kind.start == "default") == default]
        for place, kind in enumerate(kinds):
            label, colour, mark = STYLES[kind.name]
            only = kind.start == "forget"
            style = {
                "color": colour,
                "marker": mark,
                "linestyle": "--" if only else "-",
                "fillstyle": "none" if only else "full",
            }
            # Side by side, so that equal accuracies do not hide one another.
            x = [d * 1.07 ** (place - (len(kinds) - 1) / 2) for d in distances]
            each = [[100 * one.accuracy for one in outcomes[kind.label, d]] for d in distances]
            axes.plot(x, [sum(values) / len(values) for values in each], **{**style, "marker": ""})
            for at, values in zip(x, each, strict=True):
                axes.plot([at] * len(values), values, **{**style, "linestyle": ""}, markersize=6, alpha=0.8)
            axes.plot([], [], label=f"{label},\nforget bias only" if only else label, **style)
        axes.axhline(50, color="0.6", linestyle=":", linewidth=1, zorder=0)
        axes.set(xscale="log", xlabel="distance of the two residues (positions)", ylim=(44, 104))
        axes.set_title("torch's default start" if default else "start made for memory", fontsize=11)
        axes.set_xticks(distances, [str(d) for d in distances])
        axes.minorticks_off()
    panels[0].set_ylabel("accuracy on new sequences (%)")
    panels[0].text(distances[0], 48.5, "chance", color="0.4", va="top", fontsize=9)
    tidy(panels)
    panels[1].legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw_gradients(outcomes: Outcomes, distance: int) -> Figure:
    """Norm of the gradient by steps from the end: two starts, and after training from the second."""
    figure = Figure(figsize=(9.6, 4.2), dpi=100, layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    titles = ("torch's default start", "start made for memory", "the latter, trained")
    for axes, title in zip(panels, titles, strict=True):
        start, trained = "default" if title == titles[0] else "memory", title == titles[2]
        for kind in [kind for kind in KINDS_OF_NETWORK if kind.start == start]:
            outcome = outcomes[kind.label, distance][0]
            for state, norm_L in (outcome.after if trained else outcome.before).items():
                draw_norm(axes, kind.name, state, norm_L[: distance + 1])
        if start == "default":
            norm_L = gradient_norms(exploding_network(distance), distance)["h"]
            axes.plot(norm_L[: distance + 1], color="0.35", linewidth=1.2)
            axes.annotate("RNN, spectral\nradius 2", (0.42 * distance, 1e3), color="0.35", fontsize=8.5)
        axes.set_title(title, fontsize=11)
        axes.set(yscale="log", ylim=(1e-12, 1e8), xlim=(0, distance), xlabel="steps from the end")
    panels[0].set_ylabel("gradient norm, relative to the last state")
    tidy(panels)
    handles = {line.get_label(): line for axes in panels for line in axes.get_lines() if line.get_label()[0] != "_"}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    return figure


def draw_norm(axes: Axes, name: str, state: str, norm_L: Tensor):
    """Draw one path: cells solid, the states of the LSTMs broken."""
    label, colour, _ = STYLES[name]
    symbol = rf"{label}, $\partial L/\partial {state}_t$"
    line = {("lstm", "h"): "--", ("peephole_lstm", "h"): ":"}.get((name, state), "-")
    # The LSTM's cell is broad, or the one with peepholes would hide it.
    width = 3.0 if (name, state) == ("lstm", "c") else 1.5
    axes.plot(norm_L, color=colour, linewidth=width, linestyle=line, label=symbol)


def exploding_network(distance: int) -> Classifier:
    """Make a plain RNN of spectral radius 2."""
    model = make_network(KINDS_OF_NETWORK[0], distance, seed=0)
    set_spectral_radius(recurrent_layer(model), 2.0)
    return model


def draw_clipping(runs: dict[float | None, list[tuple[float, float]]]) -> Figure:
    """Gradient norm and loss by step, with and without clipping, of one seed."""
    figure = Figure(figsize=(9, 3.7), dpi=100, layout="constrained")
    panels = figure.subplots(1, 2)
    for clip, run in runs.items():
        label, colour = ("not clipped", "#D55E00") if clip is None else (f"clipped at norm {clip:g}", "#0072B2")
        for axes, values in zip(panels, zip(*run, strict=True), strict=True):
            axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=0.9, alpha=0.85, label=label)
    panels[0].axhline(CLIP_NORM, color="0.3", linestyle="--", linewidth=1)
    panels[0].text(0, 1.15 * CLIP_NORM, f"norm {CLIP_NORM:g}", color="0.3", fontsize=9)
    panels[0].set(yscale="log", xlabel="training step", ylabel="gradient norm, before clipping")
    panels[1].set(xlabel="training step", ylabel="loss (nats)", ylim=(0, None))
    panels[1].axhline(math.log(2), color="0.6", linestyle=":", linewidth=1, zorder=0)
    panels[1].text(0, math.log(2) - 0.02, "guessing", color="0.4", va="top", fontsize=9)
    panels[1].legend(frameon=False, fontsize=9, loc="center right")
    tidy(panels)
    return figure


def tidy(panels: Sequence[Axes]):
    """Leave out the lines that say nothing."""
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
