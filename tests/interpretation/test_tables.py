"""Tables as pandas reads them, against the arrays that they were made from."""

import numpy as np
import pandas as pd
import pytest

from tests.interpretation.conftest import random_explanation
from tfclass.interpretation.tables import growing_table, mutation_columns, residue_columns
from tfclass.sequences.alphabet import AMINO_ACIDS


def read(path):
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, sep="\t", keep_default_na=False, dtype={"id": str})


@pytest.fixture(params=["tsv", "parquet"])
def path(request, tmp_path):
    return tmp_path / f"table.{request.param}"


def test_residues_are_the_rows_of_a_tidy_table(explanation, path):
    hostile = ['"quoted"\tid', "", "=cmd()"]
    with growing_table(path, ()) as add:
        for number, name in enumerate(hostile, start=1):
            add(number, name, residue_columns(explanation))
    frame, length = read(path), len(explanation.residues)
    assert len(frame) == 3 * length
    assert [name.replace("\t", " ") for name in frame["id"].unique()] == [name.replace("\t", " ") for name in hostile]
    for number in (1, 2, 3):
        own = frame[frame["protein"] == number]
        assert "".join(own["residue"]) == explanation.residues
        assert own["position"].tolist() == list(range(1, length + 1))
        np.testing.assert_allclose(
            own["integrated_gradients"], explanation.attributions["integrated_gradients"].value_L, rtol=1e-5
        )
        np.testing.assert_allclose(own["attention"], explanation.attention_L, rtol=1e-5)
        backward = explanation.gates[0][1]
        for step in (0, (length - 1) // explanation.pool):
            forget = own["forget_backward"].iloc[step * explanation.pool]
            assert forget == pytest.approx(float(backward.f[step].mean()), rel=1e-5)


def test_a_layer_has_columns_of_its_own_where_there_are_several():
    columns = residue_columns(random_explanation(30, units=4, pool=4, layers=2))
    assert {"cell_forward_1", "cell_backward_1", "cell_forward_2"} <= set(columns)
    assert all(len(values) == 30 for values in columns.values())


def test_mutations_are_all_substitutions_with_their_change(explanation, path):
    with growing_table(path, ()) as add:
        add(1, "a", mutation_columns(explanation))
    frame, standard = read(path), sum(letter in AMINO_ACIDS for letter in explanation.residues)
    assert len(frame) == 20 * len(explanation.residues) - standard
    assert (frame["from"] != frame["to"]).all()
    wide = frame.pivot(index="position", columns="to", values="change").fillna(0.0)
    np.testing.assert_allclose(wide[list(AMINO_ACIDS)], explanation.mutations_LA, rtol=1e-5, atol=1e-6)


def test_a_table_without_proteins_has_its_header(path):
    with growing_table(path, ("position", "residue")):
        pass
    assert list(read(path)) == ["protein", "id", "position", "residue"]


def test_rows_are_written_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("tfclass.interpretation.tables._GROUP", 50)
    path = tmp_path / "table.parquet"
    with growing_table(path, ()) as add:
        for number in range(1, 8):
            add(number, "a\ud800", {"value": np.full(20, number / 8)})
    frame = pd.read_parquet(path)
    assert frame["value"].tolist() == [n / 8 for n in range(1, 8) for _ in range(20)]
    assert frame["id"].unique().tolist() == ["a\\ud800"]
