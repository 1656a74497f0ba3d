"""Explain records into a folder: pages, an index, tables, segments, figures."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tfclass import __version__
from tfclass.channels.base import Column
from tfclass.inference.explanations import OnProgress, explanations, prevalence_contribution
from tfclass.inference.predictor import Predictor
from tfclass.inference.rows import Prediction, with_details
from tfclass.inference.writers import WRITERS
from tfclass.interpretation.explanation import MUTAGENESIS, Explanation
from tfclass.interpretation.folder import Outputs, explanation_writer
from tfclass.interpretation.index import CONTRIBUTION
from tfclass.interpretation.page import ModelFacts, parts_of
from tfclass.sequences.fasta import Record

# Columns of a row that the index shows where the model has them.
_SHOWN = ("length", "label", "probability", "family", "domain")


class Request(NamedTuple):
    """What to explain, and how.

    Attributes
    ----------
    methods : sequence of str
        At least one of attribution; and ``mutagenesis``.
    format : str
        Of the tables: ``tsv`` or ``parquet``.
    title : str
        Of the index.
    known : mapping of str to sequence of str
        More columns for the rows: what is known of the records, in their order.
    """

    methods: Sequence[str]
    format: str = "tsv"
    figures: bool = False
    title: str = "What the predictions rest on"
    known: Mapping[str, Sequence[str]] = {}


def explain_records(
    predictor: Predictor,
    records: Iterable[Record],
    folder: Path,
    request: Request,
    watch: Callable[[Iterator[Prediction]], Iterator[Prediction]] = lambda rows: rows,
    on_progress: OnProgress = lambda number, fraction: None,
) -> list[str]:
    """Explain records, any number, and fill an empty folder.

    Parameters
    ----------
    watch : callable
        Passes the rows on, as they come.

    Returns
    -------
    list of str
        What the explanations have, by the names of `tfclass.interpretation.page.MEANINGS`; empty without any.

    Raises
    ------
    TfclassError
        As `explanations`, or of the records.
    """
    bundle, channel = predictor.bundle, predictor.channel
    explained = explanations(predictor, records, request.methods, on_progress)
    methods = [name for name in request.methods if name != MUTAGENESIS]
    contributions = _contribution_names(predictor)
    known = {name: Column("category") for name in request.known}
    added = {f"{CONTRIBUTION}{name}": Column("number", 6) for name in contributions}
    added |= {f"gap_{name}": Column("number", 6) for name in methods}
    columns = with_details({**predictor.scorer.columns, **known, **added, "page": Column("text")})
    # The intercept is the same for all.
    shown = [*_SHOWN, *known, *(f"{CONTRIBUTION}{name}" for name in contributions if name != "intercept")]
    in_index = {name: columns[name].kind not in ("number", "integer") for name in shown if name in columns}
    facts = ModelFacts(__version__, bundle.name, bundle.digest, bundle.network, channel)
    outputs = Outputs(request.format, MUTAGENESIS in request.methods, request.figures)
    class_name = bundle.classes[1] if predictor.binary else "any class"
    parts: dict[str, None] = {}

    with (
        explanation_writer(folder, facts, in_index, methods, outputs, request.title, class_name) as writer,
        writer.own(f"proteins.{request.format}").open("wb") as stream,
    ):

        def rows() -> Iterator[Prediction]:
            for number, (row, explanation) in enumerate(explained, start=1):
                details = dict.fromkeys(added) | dict(row.details)
                details |= {name: values[number - 1] for name, values in request.known.items()}
                if explanation is not None:
                    details |= _numbers(explanation)
                    parts.update(dict.fromkeys([*explanation.attributions, *parts_of(explanation)]))
                values = row._asdict() | details
                positive = predictor.is_positive(row)
                details["page"] = writer.add(number, values, explanation, positive=positive)
                yield row._replace(details=details)

        WRITERS[request.format](watch(rows()), stream, None, columns)
    return list(parts)


def _contribution_names(predictor: Predictor) -> list[str]:
    """Return the names of the contributions, which are the same for all proteins."""
    stacked = predictor.bundle.stacked.get(predictor.channel) is not None
    return ["intercept"] * stacked + list(predictor.scorer.channels) + list(prevalence_contribution(predictor))


def _numbers(explanation: Explanation) -> dict[str, Any]:
    numbers = {f"{CONTRIBUTION}{name}": value for name, value in explanation.contributions.items()}
    return numbers | {f"gap_{name}": each.gap for name, each in explanation.attributions.items()}
