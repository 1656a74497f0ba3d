"""The demo corpus: that its labels are right is proved with regular expressions, not believed."""

import re

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfclass.data.demo import ENZYMES, FAMILIES, generate_demo, is_generated, parse_pattern

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


def without(letters: str) -> str:
    return "".join(a for a in AMINO_ACIDS if a not in letters)


def translated(pattern: str) -> str:
    """PROSITE to `re`, written independently of tfclass: by substitution on the text."""
    expression = pattern.replace("-", "").replace("{", "[^").replace("}", "]")
    return re.sub(r"\((\d+)\)", r"{\1}", expression.replace("x", "."))


REGEX = {family: re.compile(translated(pattern)) for family, pattern in FAMILIES.items()}
ENZYME_REGEX = {family: re.compile(translated(pattern)) for family, pattern in ENZYMES.items()}


@pytest.fixture(scope="module")
def demo():
    return generate_demo(n_clusters=900, seed=3)


def domain(row) -> str:
    return row.sequence[row.domain_start - 1 : row.domain_end]


def test_the_same_seed_gives_the_identical_frame():
    assert generate_demo(60, seed=5).equals(generate_demo(60, seed=5))
    assert not generate_demo(60, seed=5).equals(generate_demo(60, seed=6))


def test_ids_are_unique_and_only_the_twenty_amino_acids_occur(demo):
    assert demo["id"].is_unique
    assert set("".join(demo["sequence"])) == set(AMINO_ACIDS)


def test_every_positive_has_the_domain_of_its_own_family_where_the_table_says(demo):
    positives = demo[demo["label"] == "TF"]
    assert set(positives["family"]) == set(FAMILIES)
    wrong = [row.id for row in positives.itertuples() if not REGEX[row.family].fullmatch(domain(row))]
    assert wrong == []


def test_domains_are_those_of_positives_and_no_others(demo):
    positive = demo["label"] == "TF"
    assert (demo.loc[~positive, "domains"] == "none").all()
    expected = demo["domain_start"].astype(str) + "-" + demo["domain_end"].astype(str)
    assert (demo.loc[positive, "domains"] == expected[positive]).all()


def test_no_negative_matches_any_family_anywhere(demo):
    negatives = demo[demo["label"] == "nonTF"]
    assert len(negatives) > 500
    matched = [row.id for row in negatives.itertuples() if any(r.search(row.sequence) for r in REGEX.values())]
    assert matched == []


def test_every_enzyme_has_its_motif_where_the_table_says(demo):
    enzymes = demo[demo["family"].isin(list(ENZYMES))]
    assert len(enzymes) > 300
    assert all(ENZYME_REGEX[row.family].fullmatch(domain(row)) for row in enzymes.itertuples())


def test_a_shuffled_domain_can_be_put_back_in_order(demo):
    # Its residues fit the positions of its family's pattern one to one: only their order is wrong.
    shuffled = demo[demo["family"].str.startswith("shuffled ")]
    assert len(shuffled) > 300
    for row in shuffled.itertuples():
        allowed = parse_pattern(FAMILIES[row.family.removeprefix("shuffled ")])
        residues = domain(row)
        assert len(residues) == len(allowed)
        fits = csr_array([[letter in letters for letters in allowed] for letter in residues])
        assert (maximum_bipartite_matching(fits) >= 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_shuffled_and_true_domains_have_the_same_composition(family, demo):
    def shares(name):
        pooled = "".join(domain(row) for row in demo[demo["family"] == name].itertuples())
        return np.array([pooled.count(a) / len(pooled) for a in AMINO_ACIDS])

    assert np.abs(shares(family) - shares(f"shuffled {family}")).sum() / 2 < 0.06


def test_composition_alone_does_not_solve_it(demo):
    composition = np.array([[s.count(a) / len(s) for a in AMINO_ACIDS] for s in demo["sequence"]])
    positive = (demo["label"] == "TF").to_numpy()
    train, test = (demo["split"] == "train").to_numpy(), (demo["split"] == "test").to_numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(composition[train], positive[train])
    assert average_precision_score(positive[test], model.predict_proba(composition[test])[:, 1]) < 0.75


def test_clusters_have_one_split_one_label_and_one_family(demo):
    for column in ("split", "label", "family"):
        assert demo.groupby("cluster")[column].nunique().max() == 1, column


def test_members_of_a_cluster_are_relatives_and_not_copies(demo):
    for _, members in demo.groupby("cluster"):
        first, *others = members["sequence"]
        for other in others:
            assert other != first
            same = np.mean([a == b for a, b in zip(first, other, strict=True)])
            assert same > 0.15


@pytest.mark.parametrize(
    ("pattern", "positions"),
    [
        ("C", ["C"]),
        ("x", [AMINO_ACIDS]),
        ("x(2)-C", [AMINO_ACIDS, AMINO_ACIDS, "C"]),
        ("[ST]", ["ST"]),
        ("[ST](2)-G", ["ST", "ST", "G"]),
        ("{P}", [without("P")]),
        ("{PCHR}(2)", [without("PCHR"), without("PCHR")]),
        ("H(3)", ["H", "H", "H"]),
    ],
)
def test_a_pattern_means(pattern, positions):
    assert parse_pattern(pattern) == positions


@pytest.mark.parametrize("pattern", ["", "C--C", "c", "x(2,4)", "[ST", "{}", "C(x)", "<M", "C-x(-1)"])
def test_an_invalid_pattern_element_is_refused(pattern):
    with pytest.raises(ValueError, match="not a PROSITE element"):
        parse_pattern(pattern)


def test_a_part_of_the_demo_corpus_is_recognised_and_a_mixed_table_is_not():
    frame = generate_demo(n_clusters=30)
    assert is_generated(frame.iloc[5:9])
    assert not is_generated(frame.assign(id=["P12345", *frame["id"][1:]]))
