"""The numbers of an explanation as a page carries them: integers of 8 or 16 bits, compressed, in base64."""

import base64
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from tfclass.interpretation.explanation import DIRECTIONS, Explanation
from tfclass.interpretation.tables import BY_CHEMISTRY, GATES, tracks_of
from tfclass.models.lstm import Gates
from tfclass.sequences.alphabet import AMINO_ACIDS
from tfclass.typing import FloatArray

# Values of single units on a page; for a longer protein several steps are one column.
_MAX_VALUES = 1_500_000


class Packed:
    """Arrays in one block of bytes.

    Attributes
    ----------
    layout : dict of str to list
        Of each array its bits, place in the block, number of values, and what a unit of the integers is worth.
    """

    def __init__(self) -> None:
        self.layout: dict[str, list[float]] = {}
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, name: str, values: npt.ArrayLike, bits: int) -> float:
        """Round an array to integers of 8 or 16 bits, in little-endian order; return its largest magnitude."""
        flat = np.asarray(values, np.float64).ravel()
        most = float(np.abs(flat).max(initial=0.0))
        unit = (most or 1.0) / (2 ** (bits - 1) - 1)
        part = np.rint(flat / unit).astype("<i2" if bits == 16 else "i1").tobytes()
        self.layout[name] = [bits, self._size, flat.size, unit]
        self._parts.append(part)
        self._size += len(part)
        return most

    def text(self) -> str:
        """Return the block, compressed by deflate, in base64."""
        return base64.b64encode(zlib.compress(b"".join(self._parts), 9)).decode("ascii")


def packed_arrays(explanation: Explanation) -> dict[str, Any]:
    """Pack every array of an explanation, with what is needed to draw those of several rows."""
    packed, found = Packed(), {}
    for name, value_L in tracks_of(explanation).items():
        packed.add(name, value_L, 16)
    if explanation.mutations_LA is not None:
        columns = [AMINO_ACIDS.index(letter) for letter in BY_CHEMISTRY]
        most = packed.add("mutations", explanation.mutations_LA[:, columns], 16)
        found["mutations"] = {"letters": BY_CHEMISTRY, "most": most or 1.0}
    if explanation.gates:
        found["units"] = _units(explanation, packed)
    return {"arrays": packed.layout, "packed": packed.text(), **found}


def _units(explanation: Explanation, packed: Packed) -> dict[str, Any]:
    """Pack the gates of every unit, the units ordered by where their forward cell is largest."""
    n_steps, n_units = explanation.gates[0][0].c.shape
    n_maps = sum(len(directions) for directions in explanation.gates) * len(GATES)
    bin_size = -(-n_steps * n_units * n_maps // _MAX_VALUES)
    maps, orders = [], []
    for layer, directions in enumerate(explanation.gates):
        order = directions[0].c.abs().argmax(dim=0).argsort(stable=True).numpy()
        orders.append(order.tolist())
        for direction, gates in zip(DIRECTIONS, directions, strict=False):
            of_layer = f", layer {layer + 1}" if len(explanation.gates) > 1 else ""
            for name in GATES:
                key = f"units {layer} {direction} {name}"
                most = packed.add(key, _binned(gates, name, bin_size)[:, order], 8)
                signed = name in ("candidate", "cell")
                title = f"{name}, {direction}{of_layer}"
                maps.append(
                    {"key": key, "title": title, "layer": layer, "signed": signed, "most": (most or 1) if signed else 1}
                )
    pool = explanation.pool * bin_size
    return {"rows": n_units, "pool": pool, "bin": bin_size, "maps": maps, "order": orders}


def _binned(gates: Gates, name: str, size: int) -> FloatArray:
    """Return the values of a gate, shape (S, H), as means over `size` steps."""
    values_SH = getattr(gates, GATES[name]).double().numpy()
    starts = np.arange(0, len(values_SH), size)
    counts = np.diff(np.append(starts, len(values_SH)))
    return np.add.reduceat(values_SH, starts, axis=0) / counts[:, None]
