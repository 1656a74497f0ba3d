"""Profiles of generated proteins, whose domains are known, held against HMMER itself and against plain counting."""

import io

import numpy as np
import pandas as pd
import pyhmmer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfclass.channels.build_profiles import MIN_PRECISION, build_library, build_profile, threshold
from tfclass.config import CorpusConfig
from tfclass.data.split import select_split
from tfclass.data.table import LabelledProteins, read_table
from tfclass.errors import ProfileError
from tfclass.search.hmmer import MIN_BITS, OF_CLUSTER, BestHit, Library, search
from tfclass.sequences.alphabet import Alphabet

ALPHABET = Alphabet()
ZINC_FINGERS = ["YKCPECGKSFSRSDHLARHIRTHTG", "FKCEICGKAFNRKSNLVKHQRIHTG", "YQCHQCDKRFTQSSHLKRHLLTHSG"]


@pytest.fixture(scope="module")
def training(demo_table):
    return select_split(read_table(CorpusConfig.default(path=str(demo_table)), ALPHABET), "train", "demo")


@pytest.fixture(scope="module")
def library(training):
    return build_library(training, {}, ALPHABET)


def encoded(*sequences):
    return [ALPHABET.encode(sequence) for sequence in sequences]


def test_profiles_tell_proteins_with_a_domain_from_those_with_the_same_residues_shuffled(library, training):
    margins = np.array([hit.margin for hit in library.search(training.tokens, ALPHABET)])
    positive = training.labels == 1
    # Its short patterns, heavily mutated, leave many below what 25 bits ask for.
    assert (margins[positive] > 0).mean() > 0.35
    assert (margins[~positive] > 0).mean() < 0.02


def test_profiles_lie_where_the_domain_was_put(library, training):
    hits = library.hits(training.tokens, ALPHABET)
    place = {(hit.protein, hit.profile): hit.envelopes[0] for hit in hits}
    best = library.best(hits, len(training.labels))
    overlap = []
    for i, (hit, row) in enumerate(zip(best, training.frame.itertuples(), strict=True)):
        if hit.margin > 0 and row.label == "TF":
            start, end = place[i, hit.profile]
            overlap.append(min(end, int(row.domain_end)) - max(start, int(row.domain_start)) + 1)
    assert np.mean(np.array(overlap) > 0) > 0.95


def test_a_profile_has_the_family_of_its_members_and_more_than_one_cluster(library, training):
    assert {profile.family for profile in library.profiles} <= set(training.frame["family"])
    assert all(profile.name.startswith(OF_CLUSTER) and not profile.of_domain for profile in library.profiles)
    # As many alignments as clusters would be no generalisation.
    assert len(library.profiles) < training.frame["cluster"].nunique() / 4


def test_the_same_table_gives_the_same_profiles_on_any_number_of_threads(library, training):
    # Not to the byte: FAMSA now and then aligns the same sequences with a column more or less.
    again = build_library(training, {}, ALPHABET, threads=2)
    assert [(p.name, p.family) for p in again.profiles] == [(p.name, p.family) for p in library.profiles]
    assert all(abs(a.hmm.M - b.hmm.M) <= 3 for a, b in zip(again.profiles, library.profiles, strict=True))


def test_a_known_domain_seeds_a_profile_of_its_name(training):
    known = [
        row.sequence[int(row.domain_start) - 1 : int(row.domain_end)]
        for row in training.frame.itertuples()
        if row.label == "TF" and row.family == "homeobox"
    ]
    seeded = build_library(training, {"Homeodomain": known[:3]}, ALPHABET)
    (profile,) = [profile for profile in seeded.profiles if profile.name == "Homeodomain"]
    assert (profile.of_domain, profile.family) == (True, "homeobox")


def test_proteins_with_nothing_in_common_are_refused_in_one_line(training):
    rng = np.random.default_rng(0)
    tokens = [rng.integers(1, 21, 120).astype(np.uint8) for _ in training.tokens]
    alone = training._replace(tokens=tokens)
    with pytest.raises(ProfileError) as caught:
        build_library(alone, {}, ALPHABET)
    assert str(caught.value) == (
        "profiles: found no domain that two clusters share; "
        "expected proteins of the positive class in more than one cluster each"
    )


def test_profiles_that_fit_the_other_class_as_well_are_refused_in_one_line():
    rng = np.random.default_rng(1)
    letters = list("ACDEFGHIKLMNPQRSTVWY")
    domain = "".join(rng.choice(letters, 60))

    def altered(places):
        copy = list(domain)
        for place in rng.choice(60, places, replace=False):
            copy[place] = rng.choice(letters)
        return "".join(copy)

    # The class that is looked for has a worn copy of what the other has well.
    labels = np.array([1] * 4 + [0] * 40)
    flanks = ["".join(rng.choice(letters, 30)) for _ in labels]
    tokens = encoded(*(flank + altered(22 if label else 2) for flank, label in zip(flanks, labels, strict=True)))
    frame = pd.DataFrame({"id": range(44), "cluster": range(44), "label": np.where(labels, "TF", "nonTF")}, dtype=str)
    with pytest.raises(ProfileError, match=r"found none of \d+ that tells the positive class from the other; expected"):
        build_library(LabelledProteins(frame, tokens, labels, ("nonTF", "TF"), ""), {"domain": [domain]}, ALPHABET)


def test_a_library_is_the_same_after_a_file_and_hmmer_can_read_it(library, training):
    content = library.to_bytes()
    again = Library.from_bytes(content, "profiles")
    assert again.to_bytes() == content
    tokens = training.tokens[:50]
    assert again.search(tokens, ALPHABET) == library.search(tokens, ALPHABET)
    text = io.BytesIO()
    for profile in again.profiles:
        profile.hmm.write(text)
    in_text = Library.from_bytes(text.getvalue(), "text")
    assert [(p.name, p.family, p.threshold) for p in in_text.profiles] == [
        (p.name, p.family, p.threshold) for p in library.profiles
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no profiles that can be read"),
        (b"HMMER3/f [3.4]\nNAME  x\n", "no profiles that can be read .profile 1: cut short."),
        (b"not profiles at all", "no profiles that can be read"),
        (b"\x28\xb5\x2f\xfd\x00", "no profiles that can be read"),
    ],
    ids=["nothing", "cut short", "text", "damaged zstd"],
)
def test_what_is_no_library_is_refused_in_one_line(content, said):
    with pytest.raises(ProfileError, match=said) as caught:
        Library.from_bytes(content, "there")
    assert "\n" not in str(caught.value)


def test_profiles_of_dna_or_of_one_name_are_refused():
    dna = pyhmmer.easel.Alphabet.dna()
    rows = [pyhmmer.easel.TextSequence(name=str(i), sequence="ACGTTGCATTGCAAGT") for i in range(3)]
    alignment = pyhmmer.easel.TextMSA(name="site", sequences=rows).digitize(dna)
    hmm, _, _ = pyhmmer.plan7.Builder(dna).build_msa(alignment, pyhmmer.plan7.Background(dna))
    with pytest.raises(ProfileError, match="no profiles that can be read"):
        Library.from_bytes(_with_threshold(hmm), "there")
    twice = _with_threshold(build_profile("finger", ZINC_FINGERS)) * 2
    with pytest.raises(ProfileError, match="found 2 profiles 'finger'; expected each name once"):
        Library.from_bytes(twice, "there")


def test_a_profile_without_a_threshold_is_refused():
    buffer = io.BytesIO()
    build_profile("finger", ZINC_FINGERS).write(buffer)
    with pytest.raises(ProfileError, match="there, profile finger: found no gathering threshold; expected a line GA"):
        Library.from_bytes(buffer.getvalue(), "there")


def test_hits_are_hmmers_own(library, training):
    tokens = training.tokens[:80]
    hmms = [profile.hmm for profile in library.profiles]
    alphabet = pyhmmer.easel.Alphabet.amino()
    block = pyhmmer.easel.DigitalSequenceBlock(
        alphabet,
        [
            pyhmmer.easel.TextSequence(name=str(i), sequence=ALPHABET.decode(t)).digitize(alphabet)
            for i, t in enumerate(tokens)
        ],
    )
    expected = {
        (profile, int(hit.name)): (hit.score, (hit.best_domain.env_from, hit.best_domain.env_to))
        for profile, top in enumerate(pyhmmer.hmmsearch(hmms, block, cpus=1, T=MIN_BITS))
        for hit in top
    }
    found = {(hit.profile, hit.protein): (hit.bits, hit.envelopes[0]) for hit in search(hmms, tokens, ALPHABET)}
    assert found == expected
    assert found


def test_of_a_protein_the_evidence_depends_on_that_protein_alone(library, training):
    tokens = training.tokens[:30]
    together = library.search(tokens, ALPHABET, threads=2)
    assert together == [library.search([t], ALPHABET)[0] for t in tokens]


def test_a_profile_that_fits_nowhere_says_so():
    hmm = build_profile("finger", ZINC_FINGERS)
    assert search([hmm], encoded("GGGGSSSSGGGG", "M"), ALPHABET) == []
    assert search([hmm], [], ALPHABET) == []
    empty = Library.from_bytes(_with_threshold(hmm), "there").search(encoded("M"), ALPHABET)
    assert empty == [BestHit(-np.inf, -1, 0.0)]


def test_a_sequence_too_long_for_hmmer_is_searched_to_its_end():
    hmm = build_profile("finger", ZINC_FINGERS)
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 21, 230_000).astype(np.uint8)
    fingers = ALPHABET.encode("".join(ZINC_FINGERS) * 2)
    places = [50, 99_950, 195_000, 229_800]
    for place in places:
        tokens[place : place + len(fingers)] = fingers
    hits = search([hmm], [tokens], ALPHABET)
    starts = np.array([start for hit in hits for start, _ in hit.envelopes])
    assert all(np.abs(starts - place).min() < len(fingers) for place in places)
    assert {hit.protein for hit in hits} == {0}


@given(st.lists(st.tuples(st.integers(10, 30), st.booleans()), min_size=1, max_size=30))
def test_a_threshold_is_the_lowest_score_that_keeps_hits_precise(hits):
    bits = np.array([float(b) for b, _ in hits])
    positive = np.array([p for _, p in hits])
    found = threshold(bits, positive, np.ones(len(hits)))

    def precision(cut):
        return positive[bits >= cut].mean()

    precise = [cut for cut in set(bits) if precision(cut) >= MIN_PRECISION - 1e-9]
    assert found == (min(precise) if precise else np.inf)


def _with_threshold(hmm):
    hmm.cutoffs.gathering = (25.0, 25.0)
    buffer = io.BytesIO()
    hmm.write(buffer)
    return buffer.getvalue()
