"""Numbers and footnotes as they are written in reports, on the page and on the console."""

from collections.abc import Mapping

from tfclass.evaluation.bootstrap import Estimate

UNDEFINED = "–"
# No line may break between a number and its sign.
_NO_BREAK = "\u00a0"


class Footnotes:
    """The numbered footnotes of a table, each text once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> int:
        """Return the number of a footnote, adding it where it is new."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def display_name(name: str) -> str:
    """Return the name of a baseline as it is shown."""
    return name.replace("_", " ").replace("kmer", "k-mer")


def three(value: float | None) -> str:
    """Write a number with three decimals; a dash for None."""
    return UNDEFINED if value is None else f"{value:.3f}".replace("-", "−")


def signed(value: float) -> str:
    """Write a number with its sign and three decimals."""
    return f"{value:+.3f}".replace("-", "−")


def percent(share: float | None, decimals: int = 1) -> str:
    """Write a fraction as a percentage; a dash for None."""
    return UNDEFINED if share is None else f"{100 * share:.{decimals}f}{_NO_BREAK}%"


def shares(class_counts: Mapping[str, int]) -> str:
    """Write classes with their counts and shares, such as ``3 TF (30.0 %), 7 nonTF (70.0 %)``."""
    total = sum(class_counts.values())
    return ", ".join(f"{n:,} {name} ({percent(n / total if total else None)})" for name, n in class_counts.items())


def interval(estimate: Estimate, *, sign: bool = False) -> str:
    """Write the interval of an estimate; empty where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    write = signed if sign else three
    return f"[{write(estimate.low)}, {write(estimate.high)}]"


def difference_in_words(difference: Estimate) -> str:
    """Write a difference with its interval.

    Examples
    --------
    >>> difference_in_words(Estimate(-0.02, -0.03, 0.01))
    '−0.020 [−0.030, +0.010], an interval that holds 0'
    """
    if difference.value is None:
        return UNDEFINED
    if difference.low is None or difference.high is None:
        return signed(difference.value)
    holds_zero = ", an interval that holds 0" if difference.low <= 0 <= difference.high else ""
    return f"{signed(difference.value)} {interval(difference, sign=True)}{holds_zero}"
