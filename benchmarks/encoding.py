"""Measure how fast letters are encoded as tokens, compared with a dictionary look-up per letter.

Usage: python benchmarks/encoding.py
"""

import time

import numpy as np

from tfclass.sequences.alphabet import AMINO_ACIDS, Alphabet

N_PROTEINS, LENGTH = 50_000, 350


def main():
    """Print residues per second of both, and their ratio."""
    alphabet = Alphabet()
    letters = np.random.default_rng(0).choice(list(AMINO_ACIDS), size=(N_PROTEINS, LENGTH))
    proteins = ["".join(row) for row in letters]
    residues = N_PROTEINS * LENGTH
    table = {letter: token for token, letter in enumerate(alphabet.letters, start=1)}

    started = time.perf_counter()
    vectorised = [alphabet.encode(protein) for protein in proteins]
    fast = residues / (time.perf_counter() - started)
    started = time.perf_counter()
    looked_up = [np.array([table[letter] for letter in protein], dtype=np.uint8) for protein in proteins[::20]]
    slow = residues / 20 / (time.perf_counter() - started)
    assert all(np.array_equal(a, b) for a, b in zip(vectorised[::20], looked_up, strict=True))

    print(f"{residues:,} residues in {N_PROTEINS:,} proteins, one thread")
    print(f"Alphabet.encode    {fast:>14,.0f} residues/s")
    print(f"dictionary look-up   {slow:>14,.0f} residues/s")
    print(f"ratio                {fast / slow:>13.0f}x")


if __name__ == "__main__":
    main()
