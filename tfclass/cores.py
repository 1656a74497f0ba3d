"""Processor cores: how many there are, and how many threads or workers to start."""

import os


def available_cores() -> int:
    """Return how many cores this process may use; a container often has fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def at_most_cores(asked: int) -> int:
    """Return the number asked for, but no more than the machine has cores.

    More threads or workers than cores make nothing faster, and thousands exhaust the memory of the process.
    """
    return min(asked, os.cpu_count() or 1)
