"""The audit finds what is planted, tells it as Biopython and brute force do, and leaves nothing above the limit."""

import json

import numpy as np
import pandas as pd
import pytest
from Bio.Align import PairwiseAligner, substitution_matrices
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tfclass.config import CorpusConfig
from tfclass.data.audit import audit_corpus
from tfclass.data.curation import AuditConfig
from tfclass.data.manifest import read_manifest
from tfclass.data.table import read_table
from tfclass.errors import TableError
from tfclass.search.mmseqs import search
from tfclass.sequences.alphabet import AMINO_ACIDS, Alphabet

LIMIT = AuditConfig(identity=0.7, coverage=0.8, sensitivity=5.7)
LETTERS = np.array(list(AMINO_ACIDS))


def mutated(rng, protein, share):
    letters = np.array(list(protein))
    rows = rng.choice(len(letters), size=round(share * len(letters)), replace=False)
    letters[rows] = rng.choice(LETTERS, size=len(rows))
    return "".join(letters)


def corpus(seed=1):
    """Training proteins, and held-out ones that are strangers, near, or near only to those that are near."""
    rng = np.random.default_rng(seed)
    rows = []

    def add(name, split, sequence, cluster=None):
        rows.append((name, "TF" if len(rows) % 2 else "nonTF", cluster or name, split, sequence))
        return sequence

    for i in range(12):
        ancestor = add(f"train{i}", "train", "".join(rng.choice(LETTERS, size=200)))
        for split in ("valid", "test"):
            add(f"stranger-{split}{i}", split, "".join(rng.choice(LETTERS, size=180)))
        if i < 3:
            near = add(f"near{i}", "test", mutated(rng, ancestor, 0.2))
            further = add(f"further{i}", "valid" if i else "test", mutated(rng, near, 0.2))
            add(f"furthest{i}", "test", mutated(rng, further, 0.2))
            # A stranger to all, but of the cluster of one that is near.
            add(f"member{i}", "test", "".join(rng.choice(LETTERS, size=150)), cluster=f"near{i}")
        if i == 4:
            add("a fragment", "test", ancestor[50:120])
            add("a shared domain", "test", "".join(rng.choice(LETTERS, size=300)) + ancestor[:60])
    return pd.DataFrame(rows, columns=["id", "label", "cluster", "split", "sequence"])


@pytest.fixture
def table(tmp_path):
    corpus().to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    return tmp_path / "t.tsv"


def identity_and_coverage(query, target):
    """Of Biopython's local alignment, gaps scored as MMseqs2 scores them."""
    aligner = PairwiseAligner(mode="local", open_gap_score=-11, extend_gap_score=-1)
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    alignment = aligner.align(query, target)[0]
    counts = alignment.counts()
    (q_start, q_end), (t_start, t_end) = ((part[0][0], part[-1][-1]) for part in alignment.aligned)
    identity = counts.identities / (counts.identities + counts.mismatches + counts.gaps)
    return identity, (q_end - q_start) / len(query), (t_end - t_start) / len(target)


def test_every_held_out_protein_has_its_nearest_training_protein(table):
    before = table.read_bytes()
    manifest, _ = audit_corpus(table, table, LIMIT)
    assert table.read_bytes() == before
    frame = corpus()
    found = pd.read_csv(table.with_name("t.audit.tsv"), sep="\t", keep_default_na=False)
    assert found["id"].tolist() == frame.loc[frame["split"] != "train", "id"].tolist()
    sequence_of = frame.set_index("id")["sequence"]
    label_of = frame.set_index("id")["label"]
    planted = {f"{name}{i}": f"train{i}" for name in ("near", "further", "furthest") for i in range(3)}
    planted |= {"a fragment": "train4", "a shared domain": "train4"}
    for row in found.to_dict("records"):
        assert row["nearest"] == planted.get(row["id"], ""), row
        if not row["nearest"]:
            assert [row[name] for name in ("identity", "query_coverage", "target_coverage", "e_value")] == [""] * 4
            continue
        assert row["nearest_label"] == label_of[row["nearest"]]
        expected = identity_and_coverage(sequence_of[row["id"]], sequence_of[row["nearest"]])
        shares = [float(row[name]) for name in ("identity", "query_coverage", "target_coverage")]
        # MMseqs2 corrects its scores for the composition of the query, so the ends may lie elsewhere.
        assert shares == pytest.approx(expected, abs=0.06), row["id"]
        assert float(row["e_value"]) < 1e-3
    audit = manifest["audit"]
    test = found[found["split"] == "test"]
    numbers = pd.to_numeric(test["identity"]).dropna()
    own = audit["splits"]["test"]
    assert (own["proteins"], own["n_with_homologue"], own["n_without"]) == (len(test), len(numbers), 24 - 9)
    assert own["histogram"] == np.histogram(numbers, bins=10, range=(0, 1))[0].tolist()
    assert own["median"] == pytest.approx(numbers.median(), abs=1e-3)
    assert own["above_limit"] == 3 + 1
    assert read_manifest(table) == manifest


def test_pairs_above_the_limit_include_fragments_and_not_shared_domains(table):
    manifest, _ = audit_corpus(table, table, LIMIT)
    pairs = pd.read_csv(table.with_name("t.pairs.tsv"), sep="\t")
    named = list(pairs[["id", "split", "training_id"]].itertuples(index=False, name=None))
    assert sorted(named) == [("a fragment", "test", "train4")] + [(f"near{i}", "test", f"train{i}") for i in range(3)]
    assert manifest["audit"]["pairs_above_limit"] == 4
    coverage = pairs[["query_coverage", "target_coverage"]].max(axis=1)
    assert (pairs["identity"] > 0.7).all()
    assert (coverage >= 0.8).all()
    wider, _ = audit_corpus(table, table, AuditConfig(identity=0.7, coverage=0.1, sensitivity=5.7))
    assert wider["audit"]["pairs_above_limit"] == 5


def connected_to_training(frame, limit):
    """Clusters that a chain of pairs above the limit leads to from training, by SciPy."""
    tokens = [Alphabet().encode(sequence) for sequence in frame["sequence"]]
    hits = search(tokens, tokens, sensitivity=5.7)
    coverage = hits[["query_coverage", "target_coverage"]].max(axis=1)
    near = hits[(hits["identity"] > limit.identity) & (coverage >= limit.coverage)]
    clusters = np.unique(frame["cluster"], return_inverse=True)[1]
    # All of training is one thing here.
    clusters = np.where(frame["split"] == "train", clusters.max() + 1, clusters)
    pairs = clusters[near["query"]], clusters[near["target"]]
    graph = coo_matrix((np.ones(len(near)), pairs), shape=(clusters.max() + 1, clusters.max() + 1))
    parts = connected_components(graph, directed=False)[1]
    return set(frame.loc[(parts[clusters] == parts[clusters.max()]) & (frame["split"] != "train"), "id"])


def test_moving_takes_whole_clusters_until_nothing_is_above_the_limit(table, tmp_path):
    frame = corpus()
    before = table.read_bytes()
    output = tmp_path / "moved.tsv"
    manifest, moved = audit_corpus(table, output, LIMIT, move=True)
    assert table.read_bytes() == before
    after = pd.read_csv(output, sep="\t")
    gone = set(frame.loc[frame["split"].to_numpy() != after["split"].to_numpy(), "id"])
    assert gone == connected_to_training(frame, LIMIT)
    assert {"near0", "further0", "furthest0", "member0", "a fragment"} <= gone
    assert set(after.loc[after["id"].isin(gone), "split"]) == {"train"}
    assert "a shared domain" not in gone
    audit = manifest["audit"]
    assert audit["pairs_above_limit"] == 0
    assert [own["above_limit"] for own in audit["splits"].values()] == [0, 0]
    assert audit["before_moving"]["pairs_above_limit"] == 4
    assert audit["moved"] == {"clusters": 3 * 3 + 1, "proteins": len(gone), "searches": moved.n_searches}
    again, none = audit_corpus(output, output, LIMIT, move=True)
    assert (again["audit"]["pairs_above_limit"], none.proteins, none.n_searches) == (0, 0, 1)
    assert (
        read_table(CorpusConfig.default(path=str(output)), Alphabet()).frame["split"].tolist()
        == after["split"].tolist()
    )


def test_the_number_of_threads_does_not_change_the_output(table, tmp_path):
    for threads in (1, 3):
        audit_corpus(table, tmp_path / f"{threads}" / "o.tsv", LIMIT, move=True, threads=threads)
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert names == ["o.audit.tsv", "o.pairs.tsv", "o.tsv", "o.tsv.manifest.json"]
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda frame: frame.drop(columns="split"), "found no column 'split'"),
        (lambda frame: frame[frame["split"] != "train"], "found no row with train; expected some (there are: test"),
        (lambda frame: frame[frame["split"] == "train"], "found no row with valid or test; expected some (there are"),
    ],
    ids=["no splits", "no training proteins", "nothing held out"],
)
def test_a_table_that_cannot_be_audited_is_one_line(change, expected, table):
    change(corpus()).to_csv(table, sep="\t", index=False)
    with pytest.raises(TableError) as caught:
        audit_corpus(table, table, LIMIT)
    assert expected in str(caught.value)


def test_moving_that_would_empty_a_class_is_refused_and_writes_nothing(table, tmp_path):
    frame = corpus()
    near = frame["id"].str.startswith("near") | (frame["split"] != "test") | (frame["label"] == "TF")
    frame = frame[near & ~((frame["split"] == "test") & (frame["label"] == "TF") & ~frame["id"].str.startswith("near"))]
    frame.to_csv(table, sep="\t", index=False)
    with pytest.raises(TableError, match="found nothing left of .* in test after moving"):
        audit_corpus(table, tmp_path / "o.tsv", LIMIT, move=True)
    assert [path.name for path in tmp_path.iterdir()] == ["t.tsv"]


def test_the_audit_is_strict_json(table):
    audit_corpus(table, table, LIMIT)
    text = table.with_name("t.tsv.manifest.json").read_text()

    def refuse(name):
        raise AssertionError(name)

    assert json.loads(text, parse_constant=refuse)["audit"]["limit"] == {"identity": 0.7, "coverage": 0.8}
