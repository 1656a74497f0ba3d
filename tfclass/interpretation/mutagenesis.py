"""In-silico mutagenesis: how every substitution of a residue changes the log-odds of a class."""

from collections.abc import Callable

import numpy as np

from tfclass.interpretation.attribution import Explained
from tfclass.models.forward import MAX_RESIDUES
from tfclass.sequences.alphabet import AMINO_ACIDS
from tfclass.typing import FloatArray, TokenArray


def mutagenesis(
    explained: Explained, tokens: TokenArray, on_progress: Callable[[float], None] = lambda _: None
) -> FloatArray:
    """Substitute every residue by each of the 20 amino acids.

    Parameters
    ----------
    tokens : ndarray of uint8, shape (L,)
        Of a protein; not empty.
    on_progress : callable
        Called with the fraction that is done.

    Returns
    -------
    ndarray of float64, shape (L, 20)
        Log-odds of the mutant less those of the protein, in logits; the columns are in the order of `AMINO_ACIDS`, and
        0 for the residue that is there.
    """
    letters_A = [explained.alphabet.letters.index(letter) + 1 for letter in AMINO_ACIDS]
    (reference,) = explained.log_odds([tokens])
    change_LA = np.zeros((len(tokens), len(letters_A)))
    # A batch on each core, and progress a few times a second.
    positions = max(1, 4 * MAX_RESIDUES // (len(letters_A) * len(tokens)))
    for start in range(0, len(tokens), positions):
        places = [
            (place, column)
            for place in range(start, min(start + positions, len(tokens)))
            for column, letter in enumerate(letters_A)
            if tokens[place] != letter
        ]
        mutants = [tokens.copy() for _ in places]
        for mutant, (place, column) in zip(mutants, places, strict=True):
            mutant[place] = letters_A[column]
        change_LA[tuple(np.array(places).T)] = explained.log_odds(mutants) - reference
        on_progress(min(start + positions, len(tokens)) / len(tokens))
    return change_LA
