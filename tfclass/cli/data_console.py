"""Tables of the ``tfclass data`` verbs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfclass.cli.terminal import say

if TYPE_CHECKING:
    import pandas as pd

_SHOWN_LABELS = 8


def print_steps(funnel: Mapping[str, Any]) -> None:
    """Print how many rows each step lost."""
    say(f"{'':<24}{'lost':>10}{'left':>10}")
    say(f"{'rows in':<24}{'':>10}{funnel['rows_in']:>10,}")
    for step in funnel["steps"]:
        say(f"{step['step']:<24}{step['lost']:>10,}{step['left']:>10,}  {step['why']}")
    say(f"{'rows out':<24}{'':>10}{funnel['rows_out']:>10,}\n")


def print_kingdoms(counts: Mapping[str, Mapping[str, int]], positive: str) -> None:
    """Print the number of proteins by kingdom and class, with the share of the class `positive` unless it is empty."""
    labels = list(next(iter(counts.values())))
    share = [f"{positive} share"] if positive else []
    say(f"{'kingdom':<24}" + "".join(f"{name:>12}" for name in (*labels, "proteins", *share)))
    for kingdom, own in counts.items():
        total = sum(own.values())
        numbers = "".join(f"{n:>12,}" for n in (*own.values(), total))
        say(f"{kingdom:<24}{numbers}" + (f"{own[positive] / total:>12.1%}" if positive else ""))


def say_lost(funnel: Mapping[str, Any], lost: "pd.DataFrame") -> None:
    """Print on stderr the rows that an import lost."""
    from tfclass.data.neighbours import preview

    say(f"{'rows in':<24}{'':>10}{funnel['rows_in']:>12,}", err=True)
    for step in funnel["steps"]:
        ids = [name or "''" for name in lost.loc[lost["reason"] == step["step"], "id"]]
        if ids:
            counts = f"{-step['lost']:>10,}{step['left']:>12,}"
            say(f"{step['step']:<24}{counts}  {step['why']} ({preview(ids)})", err=True)
    say(f"{'rows out':<24}{'':>10}{funnel['rows_out']:>12,}", err=True)


def say_sizes(table: Path, manifest: Mapping[str, Any]) -> None:
    """Print on stderr how many proteins of each class are in each split of a table."""
    from tfclass.data.split import SPLITS

    counts: dict[str, dict[str, int]] = {}
    for group in manifest["sizes"]:
        own = counts.setdefault(group.get("split", ""), {})
        own[group["label"]] = own.get(group["label"], 0) + group["proteins"]
    known = [name for name in SPLITS if name in counts]
    for name in known + sorted(counts.keys() - known):
        own = counts[name]
        shown = ", ".join(f"{label} {n:,}" for label, n in sorted(own.items())[:_SHOWN_LABELS])
        more = ", ..." if len(own) > _SHOWN_LABELS else ""
        say(f"{name + ': ' if name else ''}{sum(own.values()):,} proteins ({shown}{more})", err=True)
    say(f"{table}: sha256 {manifest['table']['sha256']}, described in {table.name}.manifest.json", err=True)


def print_audit(audit: Mapping[str, Any]) -> None:
    """Print how many proteins of each split have a nearest training protein of which identity."""
    splits, limit = audit["splits"], audit["limit"]

    def print_row(name: str, key: str) -> None:
        say(f"{name:<28}" + "".join(f"{own[key]:>10,}" for own in splits.values()))

    say(f"{'identity of nearest':<28}" + "".join(f"{name:>10}" for name in splits))
    print_row("  none found", "n_without")
    for low in range(10):
        counts = [own["histogram"][low] for own in splits.values()]
        if any(counts):
            say(f"{f'  {low / 10:.1f} to {(low + 1) / 10:.1f}':<28}" + "".join(f"{n:>10,}" for n in counts))
    print_row("proteins", "proteins")
    print_row(f"above {limit['identity']:g}, coverage {limit['coverage']:g}", "above_limit")
    say(f"pairs above the limit: {audit['pairs_above_limit']:,}")


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun, which gets an s unless it is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
