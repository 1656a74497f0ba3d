"""Types of arrays, by their numbers."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
Float32Array: TypeAlias = npt.NDArray[np.float32]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
# Residues of a sequence as `tfclass.sequences.alphabet.Alphabet` numbers them.
TokenArray: TypeAlias = npt.NDArray[np.uint8]
