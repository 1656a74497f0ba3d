"""The summary of an input as a page: one HTML file that needs nothing else, made from the content of `Summary`."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from math import ceil, log10
from typing import Any, BinaryIO

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from tfclass.channels.thresholds import OWN_THRESHOLD
from tfclass.errors import escaped

_NO_BREAK = "\u00a0"
# Families with a bar of their own, and characters of an id and of a text in a table.
_MAX_GROUPS, _MAX_ID, _MAX_TEXT = 20, 60, 80
# Of the axis that compares shares of genes.
_MAX_SHARE = 0.12
# Residues of the axis of the drawn proteins are a multiple of this, and as long as this fraction of them.
_STEP, _WITHIN = 100, 0.95
_RANGE = re.compile(r"([0-9]+)-([0-9]+)")


def write_page(content: Mapping[str, Any], stream: BinaryIO) -> None:
    """Write the content as a page; every string of it is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "count": "{:,}".format,
        "whole": "{:,.0f}".format,
        "percent": _percent,
        "three": "{:.3f}".format,
    }
    environment.filters |= {"between": _between, "id": _id, "text": _text}
    script = _resource("summary.js")
    # The browser runs this script and no other, whatever a text would smuggle in.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    proteins = content["predicted"]["proteins"]
    listed = [*proteins, *(each for kind in content["borderline"].values() for each in kind["proteins"])]
    template = environment.from_string(_resource("summary.html"))
    pieces = template.generate(
        content=content,
        title=_title(content["inputs"]),
        positive=content["model"]["classes"][-1],
        binary=len(content["model"]["classes"]) == 2,
        style=Markup(resources.files("tfclass.io").joinpath("page.css").read_text(encoding="utf-8")),  # noqa: S704 - ours
        script=Markup(script),  # noqa: S704 - a file of this package
        script_digest=digest,
        groups=_groups(content["groups"]),
        ticks=_ticks(max(bar["n"] for bar in content["histogram"])),
        height=_height,
        full_length=_full_length([protein["length"] for protein in listed]),
        ranges=_ranges,
        has={
            name: any(protein.get(name) for protein in listed)
            for name in ("family", "domain", "profile", "homologue", "notes")
        },
        max_share=_MAX_SHARE,
        own_threshold=OWN_THRESHOLD,
    )
    for piece in pieces:
        stream.write(piece.encode("utf-8", "backslashreplace"))


def _resource(name: str) -> str:
    return resources.files("tfclass.inference").joinpath(name).read_text(encoding="utf-8")


def _title(inputs: Sequence[str]) -> str:
    others = f" and {len(inputs) - 1} more" if len(inputs) > 1 else ""
    return _text(inputs[0].rpartition("/")[2] or inputs[0]) + others


def _percent(share: float | None, decimals: int = 1) -> str:
    return "–" if share is None else f"{100 * share:.{decimals}f}{_NO_BREAK}%"


def _between(ends: Mapping[str, float]) -> str:
    """Write the range of a number of proteins, in whole ones."""
    low, high = round(ends["low"]), round(ends["high"])
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _id(text: str) -> str:
    return _cut(escaped(text), _MAX_ID)


def _text(text: str) -> str:
    return _cut(escaped(text), _MAX_TEXT)


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: size - 1]}…"


def _groups(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the largest groups, with the others as one, and those without a name last."""
    named = [{**each, "is_rest": False} for each in groups if each["name"]]
    if len(named) > _MAX_GROUPS + 1:
        rest = named[_MAX_GROUPS:]
        named[_MAX_GROUPS:] = [{"name": f"{len(rest)} others", "n": sum(each["n"] for each in rest), "is_rest": True}]
    return named + [{"name": "not known", "n": each["n"], "is_rest": True} for each in groups if not each["name"]]


def _ticks(most: int) -> list[int]:
    return [10**power for power in range(int(log10(max(most, 1))) + 1)]


def _height(n: int, most: int) -> float:
    """Return the height of a bar in percent, on a logarithmic scale on which one protein is to be seen."""
    return 100 * log10(n + 1) / log10(max(most, 1) + 1)


def _full_length(lengths: Sequence[int]) -> int:
    """Return the residues that a protein of full width has: rarely is one longer."""
    ordered = sorted(lengths) or [_STEP]
    return _STEP * ceil(ordered[int(_WITHIN * (len(ordered) - 1))] / _STEP)


def _ranges(domain: str | None) -> list[tuple[int, int]]:
    return [(int(start), int(end)) for start, end in _RANGE.findall(domain or "")]
