"""The page of one protein: an HTML file that needs nothing else, for a computer or a phone, in light or dark."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from tfclass.channels.calibration import expit, logit
from tfclass.errors import escaped
from tfclass.interpretation.explanation import DIRECTIONS, Explanation
from tfclass.interpretation.packing import packed_arrays
from tfclass.interpretation.segments import WINDOW, Segment, domains_of, segments_of
from tfclass.interpretation.tables import GATES, mean_gates
from tfclass.search.hmmer_alignment import Alignment
from tfclass.typing import IntArray

_COLUMNS = 60
_LONGEST_SHOWN = 30
MEANINGS = {
    "integrated_gradients": "The gradient of the log-odds, summed along the line from a baseline without information "
    "to the protein, times the difference: how much each residue moved them.",
    "gradient_x_input": "The gradient at the protein itself times the difference from the baseline: what a small "
    "change would do.",
    "occlusion": "The mean loss of log-odds when windows of 15 residues around a residue are replaced by X.",
    "attention": "The weight of each residue in the sum that the network decides by. It says where the network read "
    "its states, which depend on the residues around, and not which residues made them so.",
    "domain_probability": "The network's probability that a residue lies in a DNA-binding domain.",
    "gates": "At each step the forget gate is the share of the cell that is kept, the input gate the share of the "
    "candidate that is let in, the output gate the share of the cell that is passed on. The network reads the protein "
    "in both directions.",
    "mutagenesis": "The change of the log-odds of the network when one residue is substituted by another.",
}
_ABSENT = {
    "attention": "This network has no attention: its pooling weighs all positions by a fixed rule.",
    "domain_probability": "This network does not predict domains.",
    "gates": "This network ({network}) has no input, forget and output gates; what it has is shown.",
}
_SEGMENT_KINDS = {
    "network": "domain predicted by the network",
    "profile": "matches the profile",
    **{name: f"high attribution ({name.replace('_', ' ')})" for name in list(MEANINGS)[:3]},
}


class ModelFacts(NamedTuple):
    """Facts about the model on every page: version of tfclass; name, digest and network of the model; channel."""

    version: str
    model: str
    digest: str
    network: str
    channel: str


class Step(NamedTuple):
    """A bar that shows what a channel adds to the log-odds; `left` and `width` are percentages."""

    name: str
    note: str
    value: float
    kind: str
    left: float
    width: float


@cache
def template(name: str) -> Template:
    """Load a template of this package."""
    folder = resources.files("tfclass.interpretation")
    loader = FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8"))
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"escaped": escaped, "words": words, "signed": signed}
    return environment.get_template(name)


def words(name: str) -> str:
    """Write the name of a part as words."""
    return name.replace("_", " ").capitalize()


def signed(value: float, decimals: int = 2) -> str:
    """Write a number with its sign, a minus as long as a plus."""
    return f"{value:+.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def title_of(number: int, row: Mapping[str, Any]) -> str:
    """Return the id without characters that a page would obey; the number of a record without one."""
    return escaped(str(row["id"])) or f"Record {number}"


def render_page(number: int, row: Mapping[str, Any], explanation: Explanation, facts: ModelFacts) -> str:
    """Return the page as HTML; every text from outside is escaped.

    Parameters
    ----------
    number : int
        Of the record in the input, counted from 1.
    row : mapping
        The columns of the prediction.
    """
    safe = {name: escaped(value) if isinstance(value, str) else value for name, value in row.items()}
    explanation = explanation._replace(class_name=escaped(explanation.class_name))
    steps, zero, threshold = contribution_steps(safe, explanation)
    methods, parts = list(explanation.attributions), parts_of(explanation)
    return template("page.html").render(
        title=title_of(number, row),
        row={"family": None, "family_probability": None, "domain": None} | safe,
        positive=safe["label"] == explanation.class_name,
        explained=explanation,
        steps=steps,
        zero=zero,
        threshold=threshold,
        parts=parts,
        missing=[text.format(network=facts.network) for name, text in _ABSENT.items() if name not in parts],
        domains=domains_of(explanation),
        segments=segments_of(explanation),
        described=_SEGMENT_KINDS,
        window=WINDOW,
        shortened=_shortened,
        first_method=methods[0].replace("_", " "),
        meanings=MEANINGS,
        alignments=_alignment_texts(explanation),
        facts=ModelFacts(*map(escaped, facts)),
        data=_data(explanation),
    )


def parts_of(explanation: Explanation) -> list[str]:
    """List the parts that an explanation has besides attributions, by their names in `MEANINGS`."""
    found = {
        "attention": explanation.attention_L is not None,
        "domain_probability": explanation.domain_L is not None,
        "gates": bool(explanation.gates),
        "mutagenesis": explanation.mutations_LA is not None,
    }
    return [name for name, is_there in found.items() if is_there]


def contribution_steps(row: Mapping[str, Any], explanation: Explanation) -> tuple[list[Step], float, float | None]:
    """Lay out the contributions as bars, each beginning where the one before ends, and their sum as the last.

    Returns
    -------
    steps : list of Step
    zero, threshold : float
        Places on the axis, in percent; None without a threshold that has log-odds.
    """
    values = np.array(list(explanation.contributions.values()))
    ends = np.cumsum(values)
    threshold = row["threshold"]
    marks = [float(logit(threshold))] if threshold is not None and 0 < threshold < 1 else []
    low, high = min(0.0, *ends, *marks), max(0.0, *ends, *marks)
    margin = 0.02 * (high - low) or 1.0

    def place(value: float) -> float:
        return 100 * (value - low + margin) / (high - low + 2 * margin)

    total = float(ends[-1])
    bars = [
        (name.capitalize(), _note(name, row, explanation), value, "for" if value > 0 else "against", end - value, end)
        for name, value, end in zip(explanation.contributions, values, ends, strict=True)
    ]
    if len(bars) > 1:
        bars.append(("Sum", f"probability {expit(total):.4f}", total, "total", 0.0, total))
    steps = [
        Step(name, note, float(value), kind, place(min(start, end)), place(max(start, end)) - place(min(start, end)))
        for name, note, value, kind, start, end in bars
    ]
    return steps, place(0.0), place(marks[0]) if marks else None


def _note(name: str, row: Mapping[str, Any], explanation: Explanation) -> str:
    match = explanation.profile
    if name == "network" and row.get("network") is not None:
        return f"by itself it says {row['network']:.4f}"
    if name == "profile":
        return "no profile matches" if match is None else f"{escaped(match.name)}, {match.bits:.1f} bits"
    return {"intercept": "before any channel is asked", "prevalence": "another share is expected"}.get(name, "")


def _shortened(residues: str) -> str:
    return residues if len(residues) <= _LONGEST_SHOWN else f"{residues[: _LONGEST_SHOWN - 1]}…"


def _data(explanation: Explanation) -> dict[str, Any]:
    """Return what the script needs, as plain values."""
    position_L, gates = explanation.position_L, mean_gates(explanation)
    has_gaps = bool((np.diff(position_L, prepend=0) != 1).any())
    first = next(iter(explanation.attributions.values())).value_L
    areas = {"attention": "other", "domain_probability": "domain"}
    highs = {
        "attention": 0.0 if explanation.attention_L is None else float(explanation.attention_L.max()),
        "domain_probability": 1.0,
    }
    keys, segments = _segment_rows(explanation)
    return {
        "residues": explanation.residues,
        "positions": position_L.tolist() if has_gaps else None,
        "peak": int(first.argmax()),
        "methods": [{"key": name, "title": words(name)} for name in explanation.attributions],
        "areas": [
            {"key": name, "title": words(name), "color": color, "high": highs[name]}
            for name, color in areas.items()
            if name in parts_of(explanation)
        ],
        "keys": keys,
        "rows": len(keys),
        "segments": segments,
        "gates": [_gate_track(gates, layer, name) for layer in _layer_suffixes(explanation) for name in GATES],
        **packed_arrays(explanation),
    }


def _layer_suffixes(explanation: Explanation) -> list[str]:
    n_layers = len(explanation.gates)
    return [f"_{layer}" for layer in range(1, n_layers + 1)] if n_layers > 1 else [""] * n_layers


def _gate_track(gates: Mapping[str, Any], layer: str, name: str) -> dict[str, Any]:
    colors: dict[str, str] = dict(zip(DIRECTIONS, ("gate", "profile"), strict=True))
    series = {key: d for d in DIRECTIONS if (key := f"{name}_{d}{layer}") in gates}
    return {
        "title": words(name) + (f" of layer {layer[1:]}" if layer else ""),
        "series": [[key, colors[direction], direction] for key, direction in series.items()],
        "low": min(float(gates[key].min()) for key in series),
        "high": max(float(gates[key].max()) for key in series),
    }


def _segment_rows(explanation: Explanation) -> tuple[list[list[str]], list[list[Any]]]:
    """Return a color and a text for each row of segments, and the segments: row, first and last residue, names."""
    first = next(iter(explanation.attributions))
    colors = {"network": "domain", "profile": "profile", first: "for"}
    texts = {"network": "predicted domain", "profile": "profile", first: "high attribution"}
    shown: list[Segment] = [
        each for each in [*domains_of(explanation), *segments_of(explanation)] if each.kind in colors
    ]
    kinds = [kind for kind in colors if any(each.kind == kind for each in shown)]
    segments = []
    for each in shown:
        name = escaped(each.name) if each.kind == "profile" else texts[each.kind]
        tip = f"profile {name}" if each.kind == "profile" else name
        segments.append([kinds.index(each.kind), each.start, each.end, name, colors[each.kind], tip])
    return [[colors[kind], texts[kind]] for kind in kinds], segments


def _alignment_texts(explanation: Explanation) -> list[str]:
    if explanation.profile is None:
        return []
    name = escaped(explanation.profile.name)[:16]
    return [alignment_text(each, name, explanation.position_L) for each in explanation.profile.alignments]


def alignment_text(alignment: Alignment, name: str, position_L: IntArray) -> str:
    """Write an alignment in blocks of four lines, as HMMER does; residues have their positions as given."""
    width = max(len(name), len("protein"))
    lines = [f"{alignment.bits:.1f} bits", ""]
    state, residue = alignment.first_state, alignment.start
    for start in range(0, len(alignment.consensus), _COLUMNS):
        consensus, match, residues, confidence = (
            line[start : start + _COLUMNS]
            for line in (alignment.consensus, alignment.match, alignment.residues, alignment.confidence)
        )
        n_states, n_residues = len(consensus) - consensus.count("."), len(residues) - residues.count("-")
        first = position_L[residue - 1] if n_residues else "-"
        last = position_L[residue + n_residues - 2] if n_residues else "-"
        lines += [
            f"{name:>{width}} {state:>5} {consensus} {state + n_states - 1}",
            f"{'':>{width + 6}} {match}",
            f"{'protein':>{width}} {first:>5} {residues} {last}",
            f"{'':>{width + 6}} {confidence}",
            "",
        ]
        state, residue = state + n_states, residue + n_residues
    return "\n".join(lines).rstrip()
