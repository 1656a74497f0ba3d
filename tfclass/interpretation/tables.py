"""Tidy tables that grow protein by protein: one row for each residue, and one for each substitution."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tfclass.interpretation.explanation import DIRECTIONS, Explanation
from tfclass.io.tsv import tsv_cell
from tfclass.sequences.alphabet import AMINO_ACIDS
from tfclass.typing import FloatArray

# The attribute of `Gates` that each name stands for.
GATES = {"forget": "f", "input": "i", "output": "o", "candidate": "g", "cell": "c"}
# The amino acids in the order in which mutations are drawn: small and polar, aliphatic, aromatic, positive, negative.
BY_CHEMISTRY = "GPSTCNQAVILMFYWHKRDE"
# Rows in a row group of Parquet: what is held in memory at a time.
_GROUP = 100_000

Columns = Mapping[str, Any]
Add = Callable[[int, str, Columns], None]


def mean_gates(explanation: Explanation) -> dict[str, FloatArray]:
    """Compute the mean of each gate over the units, for each layer and direction.

    Returns
    -------
    dict of str to ndarray of float64, shape (L,)
        By name and direction, such as ``forget_backward``, and the number of the layer where there are several.
    """
    means = {}
    for layer, directions in enumerate(explanation.gates, start=1):
        number = f"_{layer}" if len(explanation.gates) > 1 else ""
        for direction, gates in zip(DIRECTIONS, directions, strict=False):
            for name, attribute in GATES.items():
                mean_S = getattr(gates, attribute).double().mean(dim=1).numpy()
                of_residues_L = mean_S.repeat(explanation.pool)[: len(explanation.residues)]
                means[f"{name}_{direction}{number}"] = of_residues_L
    return means


def tracks_of(explanation: Explanation) -> dict[str, FloatArray]:
    """Return everything that has one number for each residue, by name; see ``docs/reference/columns.md``."""
    tracks = {name: each.value_L for name, each in explanation.attributions.items()}
    if explanation.attention_L is not None:
        tracks["attention"] = explanation.attention_L
    if explanation.domain_L is not None:
        tracks["domain_probability"] = explanation.domain_L
    return tracks | mean_gates(explanation)


def residue_columns(explanation: Explanation) -> Columns:
    """Return the columns of ``residues``; each has L values."""
    return {"position": explanation.position_L, "residue": list(explanation.residues), **tracks_of(explanation)}


def mutation_columns(explanation: Explanation) -> Columns:
    """Return the columns of ``mutations``; a row for each amino acid but the one that is there."""
    assert explanation.mutations_LA is not None  # noqa: S101 - for the type checker: the table is asked for with them
    residues_L1, letters_A = np.array(list(explanation.residues))[:, None], np.array(list(AMINO_ACIDS))
    places, letters = np.nonzero(residues_L1 != letters_A)
    return {
        "position": explanation.position_L[places],
        "from": residues_L1[places, 0].tolist(),
        "to": letters_A[letters].tolist(),
        "change": explanation.mutations_LA[places, letters],
    }


@contextmanager
def growing_table(path: Path, columns: tuple[str, ...]) -> Iterator[Add]:
    """Write a table while the block runs, as TSV or, where the name ends so, Parquet (zstd).

    Floats have six digits in TSV, and are of 32 bits in Parquet.

    Parameters
    ----------
    columns : tuple of str
        Of a table without any rows, after ``protein`` and ``id``; else its first rows decide.

    Yields
    ------
    callable
        Takes the number of a protein, its id, and columns with their values.
    """
    with _parquet(path, columns) if path.suffix == ".parquet" else _tsv(path, columns) as add:
        yield add


@contextmanager
def _tsv(path: Path, columns: tuple[str, ...]) -> Iterator[Add]:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:

        def add(number: int, name: str, values: Columns) -> None:
            if not stream.tell():
                stream.write("\t".join(("protein", "id", *values)) + "\n")
            start = f"{number}\t{tsv_cell(name)}\t"
            cells = [np.char.mod("%.6g", value) if _is_float(value) else map(str, value) for value in values.values()]
            stream.writelines(start + "\t".join(row) + "\n" for row in zip(*cells, strict=True))

        yield add
        if not stream.tell():
            stream.write("\t".join(("protein", "id", *columns)) + "\n")


@contextmanager
def _parquet(path: Path, columns: tuple[str, ...]) -> Iterator[Add]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    waiting: list[pa.Table] = []
    writers: list[pq.ParquetWriter] = []

    def write() -> None:
        table = pa.concat_tables(waiting)
        waiting.clear()
        if not writers:
            writers.append(pq.ParquetWriter(path, table.schema, compression="zstd", write_page_checksum=True))
        writers[0].write_table(table)

    def add(number: int, name: str, values: Columns) -> None:
        arrays = [np.asarray(v, np.float32) if _is_float(v) else v for v in values.values()]
        # Parquet holds UTF-8 only; a program may pass lone surrogates.
        valid = name.encode("utf-8", "backslashreplace").decode()
        shared = [np.full(len(arrays[0]), number), pa.array([valid] * len(arrays[0]), pa.string())]
        waiting.append(pa.table([*shared, *arrays], names=["protein", "id", *values]))
        if sum(map(len, waiting)) >= _GROUP:
            write()

    try:
        yield add
        if not (waiting or writers):
            waiting.append(pa.table({name: pa.array([], pa.string()) for name in ("protein", "id", *columns)}))
        if waiting:
            write()
    finally:
        for writer in writers:
            writer.close()


def _is_float(values: Any) -> bool:  # noqa: ANN401 - an array, or a list of letters
    return isinstance(values, np.ndarray) and values.dtype.kind == "f"
