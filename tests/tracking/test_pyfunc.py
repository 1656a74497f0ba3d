"""The model that MLflow serves: any table in, texts made of its cells, strict JSON out."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tfclass.errors import InputError
from tfclass.inference.predictor import Predictor
from tfclass.sequences.fasta import Record
from tfclass.tracking.pyfunc import TfclassModel

SEQUENCE = "MKVLAAGIVGLCAKAYLRRH"


@pytest.fixture(scope="module")
def model(with_profiles_folder):
    model = TfclassModel()
    model.load_context(SimpleNamespace(artifacts={"bundle": str(with_profiles_folder)}))  # type: ignore[arg-type]
    return model


IDS = {
    "texts": (["a", "007"], ["a", "007"]),
    "integers": ([7, -1], ["7", "-1"]),
    "small integers": (np.array([7, 1], dtype="int8"), ["7", "1"]),
    "an integer missing": ([7, None], ["7", ""]),
    "a nullable integer missing": (pd.array([7, None], dtype="Int64"), ["7", ""]),
    "fractions": ([1.5, float("nan")], ["1.5", ""]),
    "infinite": ([float("inf"), float("-inf")], ["inf", "-inf"]),
    "all missing": ([None, None], ["", ""]),
    "texts missing": (pd.array(["a", None], dtype="string"), ["a", ""]),
    "mixed": ([1, "b"], ["1", "b"]),
    "bytes": ([b"a", b"\xe9"], ["a", "\\xe9"]),
    "categories": (pd.Categorical(["a", None]), ["a", ""]),
    "truths": ([True, False], ["True", "False"]),
    "days": (pd.to_datetime(["2024-02-29", None]), ["2024-02-29 00:00:00", ""]),
    "words for nothing": (["nan", "None"], ["nan", "None"]),
}


@pytest.mark.parametrize(("given", "expected"), IDS.values(), ids=IDS.keys())
def test_ids_of_any_type_are_texts(given, expected, model, with_profiles_folder):
    answer = model.predict(None, pd.DataFrame({"id": given, "sequence": [SEQUENCE, SEQUENCE[:9]]}))
    assert answer["id"].tolist() == expected
    records = [Record(name, name, s) for name, s in zip(expected, [SEQUENCE, SEQUENCE[:9]], strict=True)]
    rows = list(Predictor.load(with_profiles_folder).predict(records))
    assert answer["probability"].tolist() == [row.probability for row in rows]
    assert answer["notes"].tolist() == [row.notes for row in rows]


def test_sequences_of_any_type_give_a_row(model):
    given = [SEQUENCE, SEQUENCE.encode(), None, float("nan"), 7, pd.NA, ""]
    answer = model.predict(None, pd.DataFrame({"id": range(7), "sequence": pd.Series(given, dtype=object)}))
    assert answer["status"].tolist() == ["ok", "ok", *["skipped"] * 5]
    assert answer["notes"].tolist()[2:] == ["empty", "empty", "illegal '7' at 1", "empty", "empty"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pd.DataFrame({"id": ["a"]}), "the table: found no column 'sequence'; expected sequence, and id if known"),
        (pd.DataFrame(), "the table: found no column 'sequence'"),
        (
            pd.DataFrame([["a", "b", "M"]], columns=["id", "id", "sequence"]),
            "the table: found more than one column 'id'",
        ),
        (
            pd.DataFrame({"id": ["a", ["b"]], "sequence": ["M", "K"]}),
            "the table, row 2, id: found an object of type list; expected a text",
        ),
        (
            pd.DataFrame({"id": ["a"], "sequence": [{"seq": "M"}]}),
            "the table, row 1, sequence: found an object of type dict; expected a text",
        ),
    ],
    ids=["no sequence", "nothing", "two ids", "a list", "a dictionary"],
)
def test_a_table_is_refused_with(table, said, model):
    with pytest.raises(InputError) as caught:
        model.predict(None, table)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("kind", [object, str, float])
def test_an_empty_table_gives_an_empty_one(kind, model):
    answer = model.predict(None, pd.DataFrame({"id": [], "sequence": []}, dtype=kind))
    assert (list(answer.columns), len(answer)) == (list(model.predictor.columns), 0)


def test_what_is_missing_is_null_in_json_and_not_a_number_in_a_column(model):
    answer = model.predict(None, pd.DataFrame({"id": ["a", "b"], "sequence": [SEQUENCE, ""]}))
    assert answer["probability"].dtype == np.float64
    assert (answer["probability"] >= 0).tolist() == [True, False]
    rows = json.loads(json.dumps(answer.to_dict(orient="records"), allow_nan=False))
    assert rows[1] == dict.fromkeys(model.predictor.columns) | {
        "id": "b",
        "length": 0,
        "label": "",
        "threshold": rows[0]["threshold"],
        "status": "skipped",
        "notes": "empty",
    }
    assert rows[0]["probability"] == answer["probability"].iloc[0]
