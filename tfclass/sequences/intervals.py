"""Ranges of residues, counted from 1, both ends included, as in ``12-64;80-130``."""

from collections.abc import Iterable


def merged(ranges: Iterable[tuple[int, int]], gap: int = 1) -> list[tuple[int, int]]:
    """Merge ranges that overlap or have fewer than `gap` residues between them.

    Parameters
    ----------
    ranges : iterable of (int, int)
        First and last residue of each, in any order.

    Returns
    -------
    list of (int, int)
        In ascending order.

    Examples
    --------
    >>> merged([(30, 40), (5, 12), (13, 20), (35, 50)])
    [(5, 20), (30, 50)]
    """
    apart: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if apart and start - apart[-1][1] <= gap:
            start, before = apart.pop()
            end = max(before, end)
        apart.append((start, end))
    return apart


def ranges_cell(ranges: Iterable[tuple[int, int]]) -> str:
    """Write ranges as in ``12-64;80-130``; empty without any."""
    return ";".join(f"{start}-{end}" for start, end in ranges)
