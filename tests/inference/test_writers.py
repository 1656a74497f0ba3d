"""Rows in every format that has all their columns, and lists of ids."""

import csv
import io
import json
from typing import get_args

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfclass.channels.base import Column
from tfclass.channels.registry import CHANNELS
from tfclass.cli.predict import Format, Taxon
from tfclass.cli.predict_output import _FORMATS
from tfclass.inference.gff3 import TERM_OF_TAXON
from tfclass.inference.rows import COLUMNS, Prediction, with_details
from tfclass.inference.writers import WRITERS, write_csv, write_ids, write_jsonl, write_parquet, write_tsv

SCORED = Prediction("sp|P1", 120, "TF", 0.5, 0.25, "ok", "stop_removed;nonstandard=1")
SKIPPED = Prediction("b", 3, "", None, 0.25, "skipped", "illegal '1' at 3")
ONE_OF_SEVERAL = Prediction("c", 7, "homeo", 1.0, None, "ok", "")
BYTES = Prediction(b"caf\xe9".decode("utf-8", "surrogateescape"), 3, "nonTF", 1e-6, 0.25, "ok", "")

HEADS = {"family": Column("category"), "family_probability": Column("number", 6), "domain": Column("text")}
DETAILS = (
    HEADS | {"network": Column("number", 6)} | {k: c for kind in CHANNELS.values() for k, c in kind.columns.items()}
)
ALL = with_details(DETAILS)


def row_of(**values):
    return Prediction.of(dict.fromkeys(ALL) | values)


names = st.text('abc 2/-.;"', min_size=1)
shares = st.integers(0, 10**6).map(lambda n: n / 10**6)
predictions = st.builds(
    row_of,
    id=st.text(st.characters(exclude_categories=["Z", "Cc", "Cs"])),
    length=st.integers(0, 40_000),
    label=st.sampled_from(["TF", "nonTF", ""]),
    probability=st.none() | st.integers(0, 10**6).map(lambda n: n / 10**6),
    threshold=st.none() | st.floats(0, 1),
    status=st.sampled_from(["ok", "skipped"]),
    notes=st.sampled_from(["", "empty", "illegal '\\t' at 2", "stop_removed;gaps_removed=3"]),
    family=st.none() | names,
    family_probability=st.none() | shares,
    domain=st.none() | st.just("12-64;80-130"),
    network=st.none() | shares,
    profile=st.none() | names,
    profile_bits=st.none() | st.integers(100, 9999).map(lambda n: n / 10),
    homologue=st.none() | names,
    homologue_label=st.none() | st.sampled_from(["TF", "nonTF"]),
    homologue_bits=st.none() | st.integers(250, 9999).map(float),
)
# As many columns as a model may have, in any number: `Prediction` has None for what is not there.
columns = st.sets(st.sampled_from(sorted(set(ALL) - set(COLUMNS)))).map(
    lambda extra: {name: column for name, column in ALL.items() if name in COLUMNS or name in extra}
)


# Texts that may be absent.
ABSENT = {"family", "domain", "profile", "homologue", "homologue_label"}


def written(write, rows, columns=COLUMNS):
    stream = io.BytesIO()
    write(iter(rows), stream, None, columns)
    return stream.getvalue().decode("utf-8", "surrogateescape")


def test_formats_and_taxa_are_those_of_the_command_line():
    (formats,) = [each for each in get_args(get_args(Format)[0]) if each is not type(None)]
    assert (*WRITERS, "gff3", "bed", "txt") == get_args(formats) == _FORMATS
    (taxa,) = [each for each in get_args(get_args(Taxon)[0]) if each is not type(None)]
    assert get_args(taxa) == tuple(TERM_OF_TAXON)


def test_tsv_has_these_columns_and_leaves_absent_numbers_empty():
    assert written(write_tsv, [SCORED, SKIPPED, ONE_OF_SEVERAL]) == (
        "id\tlength\tlabel\tprobability\tthreshold\tstatus\tnotes\n"
        "sp|P1\t120\tTF\t0.500000\t0.25\tok\tstop_removed;nonstandard=1\n"
        "b\t3\t\t\t0.25\tskipped\tillegal '1' at 3\n"
        "c\t7\thomeo\t1.000000\t\tok\t\n"
    )


def test_a_small_probability_is_written_without_an_exponent():
    assert "\t0.000001\t" in written(write_tsv, [BYTES])


def test_no_rows_give_a_header_in_tsv_and_nothing_in_json_lines():
    assert written(write_tsv, []) == "\t".join(COLUMNS) + "\n"
    assert written(write_jsonl, []) == ""


def test_json_lines_have_null_for_absent_numbers():
    assert [json.loads(line) for line in written(write_jsonl, [SKIPPED, ONE_OF_SEVERAL]).splitlines()] == [
        {
            "id": "b",
            "length": 3,
            "label": "",
            "probability": None,
            "threshold": 0.25,
            "status": "skipped",
            "notes": "illegal '1' at 3",
        },
        {
            "id": "c",
            "length": 7,
            "label": "homeo",
            "probability": 1.0,
            "threshold": None,
            "status": "ok",
            "notes": "",
        },
    ]


def test_lone_surrogates_in_ids_of_a_program_are_escaped_in_every_format():
    binary = io.BytesIO()
    write_tsv([BYTES], binary)
    assert binary.getvalue().splitlines()[1].startswith(b"caf\\udce9\t3\t")
    assert json.loads(written(write_jsonl, [BYTES]))["id"] == r"caf\udce9"


def test_a_row_that_fails_leaves_the_stream_open():
    binary = io.BytesIO()

    def rows():
        yield BYTES
        raise KeyError

    with pytest.raises(KeyError):
        write_tsv(rows(), binary)
    assert not binary.closed


def only(row, columns):
    """The row without what stands in other columns."""
    return row._replace(details={name: row.details[name] for name in columns if name in DETAILS})


@given(st.lists(predictions), columns)
def test_json_lines_read_back_as_the_same_rows(rows, columns):
    lines = written(write_jsonl, rows, columns).split("\n")[:-1]
    objects = [json.loads(line) for line in lines]
    assert [Prediction.of(o) for o in objects] == [only(row, columns) for row in rows]
    assert {tuple(o) for o in objects} <= {tuple(columns)}


@given(st.lists(predictions), columns)
def test_tsv_reads_back_as_the_same_rows(rows, columns):
    reads = {"integer": int, "number": lambda cell: float(cell) if cell else None}
    text = io.StringIO(written(write_tsv, rows, columns), newline="\n")
    table = csv.DictReader(text, delimiter="\t")
    back = []
    for cells in table:
        values = {name: reads.get(ALL[name].kind, str)(cell) for name, cell in cells.items()}
        # An absent text is an empty cell.
        absent = {name: values[name] or None for name in ABSENT & set(columns)}
        back.append(Prediction.of(values | absent))
    assert back == [only(row, columns) for row in rows]
    assert table.fieldnames == list(columns)
    ids = pd.read_csv(io.StringIO(text.getvalue()), sep="\t", dtype=str, keep_default_na=False)["id"].tolist()
    assert ids == [row.id for row in rows]


@given(st.lists(predictions), columns)
def test_csv_has_the_values_of_tsv_and_nothing_that_a_spreadsheet_computes(rows, columns):
    text = written(write_csv, rows, columns)
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    as_tsv = csv.DictReader(io.StringIO(written(write_tsv, rows, columns), newline=""), delimiter="\t")
    for cells, expected in zip(table, as_tsv, strict=True):
        for name, cell in cells.items():
            is_text = ALL[name].kind in ("text", "category")
            computed = is_text and expected[name].startswith(("=", "+", "-", "@"))
            assert cell == ("'" if computed else "") + expected[name]
    assert text.count("\r\n") == len(rows) + 1
    ids = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)["id"].tolist()
    assert ids == [cells["id"] for cells in table]


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@SUM(A1)", "＝1", "\t=1", "\r=1"])
def test_a_text_that_a_spreadsheet_would_compute_begins_with_an_apostrophe(name):
    row = row_of(id=name, length=3, label="TF", probability=0.5, status="ok", notes="", profile_bits=-1.5)
    (cells,) = csv.DictReader(io.StringIO(written(write_csv, [row], ALL), newline=""))
    assert (cells["id"], cells["profile_bits"]) == (f"'{name}", "-1.5")


def test_ids_are_a_line_each():
    rows = [SCORED, SKIPPED._replace(id=""), BYTES]
    stream = io.BytesIO()
    write_ids(rows, stream)
    assert stream.getvalue() == b"sp|P1\ncaf\\udce9\n"


@given(st.lists(predictions), columns)
def test_parquet_reads_back_in_pandas_as_the_same_rows(rows, columns):
    stream = io.BytesIO()
    write_parquet(iter(rows), stream, {"model": "tf"}, columns)
    table = pq.read_table(io.BytesIO(stream.getvalue()))
    assert [Prediction.of(row) for row in table.to_pylist()] == [only(row, columns) for row in rows]
    assert table.schema.metadata[b"model"] == b"tf"
    kinds = {"text": "string", "integer": "int64", "number": "double"}
    category = "dictionary<values=string, indices=int32, ordered=0>"
    assert [str(field.type) for field in table.schema] == [kinds.get(ALL[name].kind, category) for name in columns]
    assert list(pd.read_parquet(io.BytesIO(stream.getvalue())).columns) == list(columns)


def test_tsv_of_a_model_with_everything_has_these_columns():
    heads = {"family": "Ets", "family_probability": 0.75, "domain": "12-64;80-130"}
    # A table may have any ids, and a row stays a line whatever its nearest homologue is called.
    nearest = {"homologue": "odd\tid\n", "homologue_label": "TF", "homologue_bits": 120}
    row = SCORED._replace(details={**heads, "network": 1 / 3, "profile": "Ets", "profile_bits": 44, **nearest})
    assert written(write_tsv, [row, SKIPPED._replace(details=dict.fromkeys(DETAILS))], ALL) == (
        "id\tlength\tlabel\tprobability\tthreshold\tfamily\tfamily_probability\tdomain\tnetwork\tprofile\tprofile_bits"
        "\thomologue\thomologue_label\thomologue_bits\tstatus\tnotes\n"
        "sp|P1\t120\tTF\t0.500000\t0.25\tEts\t0.750000\t12-64;80-130\t0.333333\tEts\t44.0\todd id \tTF\t120.0\tok\t"
        "stop_removed;nonstandard=1\n"
        "b\t3\t\t\t0.25\t\t\t\t\t\t\t\t\t\tskipped\tillegal '1' at 3\n"
    )


def test_parquet_escapes_lone_surrogates():
    stream = io.BytesIO()
    write_parquet([BYTES], stream)
    assert pq.read_table(io.BytesIO(stream.getvalue())).column("id").to_pylist() == [r"caf\udce9"]


def test_tsv_can_begin_with_what_made_it():
    stream = io.BytesIO()
    write_tsv([SCORED], stream, {"tfclass": "1.0", "model": "tf"})
    first, columns, _ = stream.getvalue().decode().splitlines()
    assert first == "# tfclass=1.0; model=tf"
    assert columns == "\t".join(COLUMNS)
