"""The calls that were most wrong, with what a reader needs to judge whether the model or the label is at fault."""

import re
from typing import Any

import numpy as np

from tfclass.data.table import LabelledProteins
from tfclass.evaluation.metrics import Scored
from tfclass.evaluation.proximity import Nearest
from tfclass.typing import BoolArray, FloatArray, IntArray

# What UniProt documents as the form of its accessions; behind it may stand the number of an isoform.
_ACCESSION = r"([OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9](?:[A-Z][A-Z0-9]{2}[0-9]){1,2})(?:-[0-9]+)?"
_UNIPROT = re.compile(rf"(?:{_ACCESSION}|(?:sp|tr)\|{_ACCESSION}\|\S*)", re.ASCII)
# Columns that tables often have and a reader asks for.
CONTEXT = ("kingdom", "family", "source")
# Of each kind of mistake.
_SHOWN = 20


def uniprot_link(record_id: str) -> str | None:
    """Give the address of a protein's UniProt entry, where its id is a UniProt accession.

    Parameters
    ----------
    record_id : str
        An accession, or an id of UniProt's FASTA files.

    Examples
    --------
    >>> uniprot_link("sp|P03069|GCN4_YEAST")
    'https://www.uniprot.org/uniprotkb/P03069/entry'
    >>> uniprot_link("AT5G15210.1")
    """
    match = _UNIPROT.fullmatch(record_id)
    return f"https://www.uniprot.org/uniprotkb/{match[1] or match[2]}/entry" if match else None


def worst_mistakes(test: LabelledProteins, scored: Scored, nearest: Nearest) -> list[dict[str, Any]]:
    """List the surest 20 of each kind of wrong calls.

    Returns
    -------
    list of dict
        Per kind of mistake ``key``, ``title``, ``total`` and ``proteins``: false positives and false negatives in a
        binary task, wrong calls in a multi-class one. A protein has ``id``, ``url``, ``label``, ``call``,
        ``probability``, ``length``, the columns of `CONTEXT` that the table has, and ``nearest`` (see
        `Nearest.of`). JSON values.
    """
    calls_N = scored.calls_N
    wrong_N = calls_N != scored.labels_N
    rows = np.arange(len(calls_N))
    if scored.probability_NC.shape[1] == 2:
        positive = test.classes[1]
        shown_N = scored.probability_NC[:, 1]
        kinds = [
            (
                "false_positives",
                f"False positives: not {positive}, called {positive}",
                wrong_N & (calls_N == 1),
                -shown_N,
            ),
            ("false_negatives", f"False negatives: {positive}, not called", wrong_N & (calls_N == 0), shown_N),
        ]
    else:
        shown_N = scored.probability_NC[rows, calls_N]
        kinds = [("wrong_calls", "Wrong calls", wrong_N, -shown_N)]
    return [
        {
            "key": key,
            "title": title,
            "total": int(chosen_N.sum()),
            "proteins": [_protein(i, test, calls_N, shown_N, nearest) for i in _first(chosen_N, order_N)],
        }
        for key, title, chosen_N, order_N in kinds
    ]


def _first(chosen_N: BoolArray, order_N: FloatArray) -> list[int]:
    rows = np.flatnonzero(chosen_N)
    return rows[np.argsort(order_N[rows], kind="stable")][:_SHOWN].tolist()


def _protein(
    row: int,
    test: LabelledProteins,
    calls_N: IntArray,
    shown_N: FloatArray,
    nearest: Nearest,
) -> dict[str, Any]:
    record: dict[str, Any] = test.frame.iloc[row].to_dict()
    return {
        "id": record["id"],
        "url": uniprot_link(record["id"]),
        "label": record["label"],
        "call": test.classes[calls_N[row]],
        "probability": float(shown_N[row]),
        "length": len(test.tokens[row]),
        **{column: record[column] for column in CONTEXT if column in test.frame},
        "nearest": nearest.of(row),
    }
