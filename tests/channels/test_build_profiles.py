"""Profiles of generated proteins, whose domains are known, held against HMMER itself and against plain counting."""

import io

import numpy as np
import pandas as pd
import pyhmmer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfclass.channels.align_profiles import build_profile, shortened
from tfclass.channels.build_profiles import Naming, build_library
from tfclass.channels.profile import ProfileChannel
from tfclass.channels.refine_profiles import refined
from tfclass.channels.select_profiles import MIN_PRECISION, MIN_THRESHOLD, redundant, threshold
from tfclass.config import CorpusConfig
from tfclass.data.split import select_split
from tfclass.data.table import LabelledProteins, read_table
from tfclass.errors import ProfileError
from tfclass.search.hmmer import MIN_BITS, OF_CLUSTER, BestHit, Hit, Library, Profile, margins, search
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
    assert all(profile.name.startswith(OF_CLUSTER) and profile.kind == "cluster" for profile in library.profiles)
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
    assert (profile.kind, profile.family) == ("domain", "homeobox")


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


class Made:
    """Proteins with worn copies of domains, each a cluster of its own unless it is said otherwise."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.sequences, self.labels, self.clusters, self.families = [], [], [], []

    def letters(self, n):
        return "".join(self.rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), n))

    def worn(self, domain, places):
        copy = list(domain)
        for place in self.rng.choice(len(copy), places, replace=False):
            copy[place] = self.letters(1)
        return "".join(copy)

    def add(self, sequence, label, family="", cluster=None):
        self.sequences.append(self.letters(30) + sequence + self.letters(30))
        self.labels.append(label)
        self.clusters.append(str(len(self.labels)) if cluster is None else cluster)
        self.families.append(family)

    def table(self):
        columns = {"id": self.clusters, "cluster": self.clusters, "family": self.families}
        columns["label"] = np.where(self.labels, "TF", "nonTF")
        tokens = encoded(*self.sequences)
        return LabelledProteins(pd.DataFrame(columns), tokens, np.array(self.labels), ("nonTF", "TF"), "")


def test_a_fold_in_common_with_others_tells_less_where_one_of_theirs_fits_better():
    made = Made(2)
    fold = made.letters(70)
    theirs = made.worn(fold, 30)
    held_out = []
    for count in range(8):
        for label, domain in ((1, fold), (0, theirs)):
            made.add(made.worn(domain, 12), label, "NF-Y" * label)
            held_out += [(label, made.worn(domain, 12))] if count < 4 else []
    library = build_library(made.table(), {"fold": [fold]}, ALPHABET, naming=lambda *_: Naming("a fold", "PF00808"))
    ours, other = library.profiles
    assert (ours.name, ours.kind, ours.family, ours.accession) == ("a_fold", "domain", "NF-Y", "PF00808")
    assert (other.name, other.kind, other.family) == ("other_a_fold", "other", "")
    hits = library.search(encoded(*(sequence for _, sequence in held_out)), ALPHABET)
    without = Library([ours]).search(encoded(*(sequence for _, sequence in held_out)), ALPHABET)
    for (label, _), hit, before in zip(held_out, hits, without, strict=True):
        assert (hit.profile, hit.bits) == (before.profile, before.bits)
        assert hit.margin == before.margin if label else hit.margin < min(0, before.margin - 10)


def test_the_veto_of_others_is_the_lead_of_their_best_profile_above_its_threshold():
    hmm = build_profile("finger", ZINC_FINGERS)
    kinds = [("a", 20.0, "domain"), ("b", 40.0, "cluster"), ("c", 25.0, "other"), ("d", 60.0, "other")]
    library = Library([Profile(hmm, name, "", least, kind) for name, least, kind in kinds])
    bits = [{0: 30, 1: 45}, {0: 30, 2: 50}, {0: 30, 3: 50}, {0: 30, 2: 28}, {2: 90}, {0: 30, 2: 35, 3: 61}]
    hits = [Hit(k, protein, score, ((1, 5),)) for protein, each in enumerate(bits) for k, score in each.items()]
    best = library.best(hits, len(bits))
    assert [hit.margin for hit in best] == [10, -10, 10, 10, -np.inf, -21]
    assert [hit.profile for hit in best] == [0, 0, 0, 0, -1, 0]
    # One that lies elsewhere in the protein is no rival: it has less than half of the shorter domain.
    places = [((5, 24), 0), ((31, 50), 20), ((32, 51), 0), ((26, 45), 20), ((39, 42), 20), ((40, 59), 0), ((41, 46), 0)]
    for place, lead in places:
        found = [Hit(0, 0, 30.0, ((21, 40),)), Hit(2, 0, 50.0, (place, (21, 40)))]
        (alone,) = library.best(found, 1)
        assert (alone.lead_of_others, alone.margin) == (lead, 10 - lead), place
    # Where another profile leads, the record of the best one says nothing.
    assert ProfileChannel(library, ALPHABET).group(best).tolist() == [0, -1, 0, 0, -1, -1]


def test_no_two_profiles_have_one_name():
    made = Made(8)
    for domain in [made.letters(70) for _ in range(3)]:
        for _ in range(4):
            made.add(made.worn(domain, 10), 1)
            made.add(made.letters(70), 0)
    names = iter(["a fold", "a_fold", "a fold 2"])
    library = build_library(made.table(), {}, ALPHABET, naming=lambda *_: Naming(next(names)))
    assert [profile.name for profile in library.profiles] == ["a_fold", "a_fold_2", "a_fold_2_2"]
    # What the first profile of a family lacks is another part of its proteins.
    library = build_library(made.table(), {}, ALPHABET, naming=lambda *_: Naming("a fold", "PF00808"))
    assert [profile.accession for profile in library.profiles] == ["PF00808", "", ""]


def test_a_single_cluster_has_a_profile_where_it_may():
    made = Made(3)
    lonely = made.letters(80)
    for cluster, label in (("one", 1), ("two", 1)):
        domain = made.worn(lonely, 0) if cluster == "one" else made.letters(80)
        for _ in range(3):
            made.add(made.worn(domain, 10), label, cluster=cluster)
    for _ in range(6):
        made.add(made.letters(80), 0)
    table = made.table()
    sparse = (table.frame["cluster"] == "one").to_numpy()
    (profile,) = build_library(table, {}, ALPHABET, sparse=sparse).profiles
    assert (profile.name, profile.kind) == (f"{OF_CLUSTER}one", "cluster")


def branches(made):
    """Return worn copies of a domain for training, and of a remote branch for the unlabelled and for a test."""
    domain = made.letters(150)
    remote = made.worn(domain, 60)
    for _ in range(5):
        made.add(made.worn(domain, 30), 1)
        made.add(made.letters(90), 0)
    return domain, *([made.worn(remote, 20) for _ in range(10)] for _ in range(2))


def test_unlabelled_relatives_of_sparse_groups_are_aligned_to_their_profile():
    made = Made(9)
    _, unlabelled, held_out = branches(made)
    table = made.table()
    sparse = np.ones(len(table.labels), dtype=bool)
    strangers = [made.letters(150) for _ in range(5)]
    before = build_library(table, {}, ALPHABET, sparse=sparse)
    after = build_library(table, {}, ALPHABET, sparse=sparse, unlabelled=encoded(*unlabelled, *strangers))
    assert [p.name for p in after.profiles] == [p.name for p in before.profiles]
    gained = margins(after.search(encoded(*held_out), ALPHABET)) - margins(before.search(encoded(*held_out), ALPHABET))
    assert np.median(gained) > 50
    found = margins(after.search(table.tokens, ALPHABET)) >= 0
    assert found.tolist() == table.is_positive.tolist()
    # A domain of groups with many clusters is left as it is, and the unlabelled count against it.
    others = build_library(table, {}, ALPHABET, unlabelled=encoded(*unlabelled, *strangers))
    assert (margins(others.search(encoded(*held_out), ALPHABET)) < 0).all()


def test_relatives_that_make_a_profile_worse_leave_it_as_it_was():
    made = Made(10)
    domain, unlabelled, _ = branches(made)
    proteins = made.table()
    hmm = build_profile("domain", [domain])
    hits = search([hmm], proteins.tokens, ALPHABET, 1)
    of_domain = Profile(hmm, "domain", "", 16.0), hits
    # Few residues of the remote branch are those of the members.
    wrong = [made.worn(sequence, 100) for sequence in unlabelled for _ in range(20)]
    many = encoded(*(domain[:50] + sequence[50:] for sequence in wrong))
    for relatives, may_change in ((many, True), (encoded(*unlabelled), False), ([], True)):
        ((profile, found),) = refined([of_domain], [may_change], proteins, relatives, ALPHABET)
        above = {hit.protein for hit in found if hit.bits >= profile.threshold}
        assert above >= set(np.flatnonzero(proteins.is_positive))
        assert may_change and relatives or (profile, found) == of_domain
    # What has only a part of the domain may be of another function.
    halves = encoded(*(domain[: len(domain) // 2] for _ in range(10)))
    assert refined([of_domain], [True], proteins, halves, ALPHABET) == [of_domain]
    assert refined([of_domain], [True], proteins, encoded(domain), ALPHABET) != [of_domain]
    lonely = proteins._replace(frame=proteins.frame.assign(cluster="one"))
    assert refined([of_domain], [True], lonely, encoded(*unlabelled), ALPHABET) == [of_domain]


def test_what_fits_a_domain_of_other_groups_is_evidence_against_it():
    made = Made(2)
    fold = made.letters(70)
    theirs = made.worn(fold, 30)
    for _ in range(8):
        made.add(made.worn(fold, 12), 1)
        made.add(made.letters(70), 0)
    unlabelled, of_theirs, of_ours = ([made.worn(each, 12) for _ in range(6)] for each in (theirs, theirs, fold))
    plain, warned = (
        build_library(made.table(), {"fold": [fold]}, ALPHABET, unlabelled=encoded(*each)) for each in ([], unlabelled)
    )
    assert (margins(plain.search(encoded(*of_theirs), ALPHABET)) >= 0).all()
    assert (margins(warned.search(encoded(*of_theirs), ALPHABET)) < 0).all()
    assert (margins(warned.search(encoded(*of_ours), ALPHABET)) >= 0).all()


def test_a_family_is_named_where_most_clusters_agree():
    for agreeing, expected in ((8, "LysR"), (7, "")):
        made = Made(4)
        domain = made.letters(60)
        for count in range(10):
            made.add(made.worn(domain, 8), 1, "LysR" if count < agreeing else "TetR")
            made.add(made.letters(60), 0)
        (profile,) = build_library(made.table(), {"domain": [domain]}, ALPHABET).profiles
        assert profile.family == expected


def test_families_with_more_in_common_than_a_domain_have_profiles_of_their_own():
    made = Made(6)
    receiver, helix, wing = made.letters(120), made.letters(70), made.letters(70)
    for _ in range(6):
        made.add(made.worn(receiver, 30) + made.worn(helix, 15), 1, "LuxR")
        made.add(made.worn(receiver, 30) + made.worn(wing, 15), 1, "OmpR")
        made.add(made.worn(receiver, 30), 0)
    library = build_library(made.table(), {}, ALPHABET)
    assert {p.family for p in library.profiles if p.kind == "cluster"} == {"LuxR", "OmpR"}
    held_out = [made.worn(receiver, 30) + tail for tail in (made.worn(helix, 15), made.worn(wing, 15), "")]
    best = library.search(encoded(*held_out), ALPHABET)
    assert [library.profiles[hit.profile].family for hit in best[:2]] == ["LuxR", "OmpR"]
    assert [hit.margin > 0 for hit in best] == [True, True, False]


def test_a_profile_that_finds_what_a_known_domain_finds_is_left_out():
    made = Made(7)
    domain, more = made.letters(16), made.letters(200)
    for count in range(12):
        made.add(made.worn(domain, 5) + (made.worn(more, 60) if count < 6 else ""), 1)
        made.add(made.letters(60), 0)
    library = build_library(made.table(), {"domain": [domain]}, ALPHABET)
    assert [profile.name for profile in library.profiles] == ["domain"]


@pytest.mark.parametrize(("family", "kinds"), [("X", ["domain"]), ("Y", ["domain", "cluster"])])
def test_a_further_profile_of_the_family_of_a_domain_has_to_cover_more_alone(family, kinds):
    made = Made(8)
    domain, more = made.letters(30), made.letters(120)
    # The domain alone is of the one family or the other; a tenth of those with more lack it.
    for _ in range(80):
        made.add(made.worn(domain, 6), 1, family)
    for count in range(20):
        made.add((made.worn(domain, 6) if count < 18 else "") + made.worn(more, 40), 1, "X")
        made.add(made.letters(60), 0)
    library = build_library(made.table(), {"domain": [domain]}, ALPHABET)
    assert [profile.kind for profile in library.profiles] == kinds


def test_of_a_long_profile_the_part_stays_that_the_other_class_lacks():
    made = Made(5)
    shared, ours = made.letters(300), made.letters(200)
    members = [made.worn(shared + ours, 100) for _ in range(10)]
    hmm = build_profile("long", members)
    states = np.array([[1, hmm.M]] * 10 + [[1, 300]] * 10)
    part = shortened("long", hmm, members, states, np.repeat([1.0, -1.0], 10))
    assert 100 <= part.M <= 150
    (of_ours,) = search([part], encoded(shared, ours), ALPHABET, 1)
    assert of_ours.protein == 1


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
    assert [profile[1:] for profile in in_text.profiles] == [profile[1:] for profile in library.profiles]


def test_kind_and_accession_are_the_same_after_a_file():
    hmm = build_profile("finger", ZINC_FINGERS)
    given = [
        Profile(hmm.copy(), "LysR", "LysR", 20.0, "cluster", "PF00126"),
        Profile(hmm.copy(), "C2H2_zinc_finger", "", 16.0, "domain", "PF00096"),
        Profile(hmm.copy(), "relatives_of_P0", "", 16.5, "cluster"),
        Profile(hmm.copy(), "other_C2H2_zinc_finger", "", 30.0, "other"),
    ]
    again = Library.from_bytes(Library(given).to_bytes(), "there").profiles
    assert [profile[1:] for profile in again] == [profile[1:] for profile in given]
    assert [profile.hmm.description for profile in again] == ["LysR [cluster]", None, "[cluster]", "[other]"]


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
    found = {(hit.profile, hit.protein): (hit.bits, hit.envelopes[0]) for hit in search(hmms, tokens, ALPHABET, 1)}
    assert found == expected
    assert found


def test_of_a_protein_the_evidence_depends_on_that_protein_alone(library, training):
    tokens = training.tokens[:30]
    together = library.search(tokens, ALPHABET, threads=2)
    assert together == [library.search([t], ALPHABET)[0] for t in tokens]


def test_a_profile_that_fits_nowhere_says_so():
    hmm = build_profile("finger", ZINC_FINGERS)
    assert search([hmm], encoded("GGGGSSSSGGGG", "M"), ALPHABET, 1) == []
    assert search([hmm], [], ALPHABET, 1) == []
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
    hits = search([hmm], [tokens], ALPHABET, 1)
    starts = np.array([start for hit in hits for start, _ in hit.envelopes])
    assert all(np.abs(starts - place).min() < len(fingers) for place in places)
    assert {hit.protein for hit in hits} == {0}


@given(st.lists(st.tuples(st.integers(20, 60), st.booleans()), min_size=1, max_size=30))
def test_a_threshold_lies_just_above_the_score_that_would_make_hits_imprecise(hits):
    bits = np.array([b / 2 for b, _ in hits])
    positive = np.array([p for _, p in hits])
    found = threshold(bits, positive, np.ones(len(hits)))
    precise = [cut for cut in set(bits) if positive[bits >= cut].mean() >= MIN_PRECISION - 1e-9]
    if not precise:
        assert found == np.inf
        return
    below = bits[bits < min(precise)]
    assert found == max(MIN_THRESHOLD, below.max() + 0.5 if len(below) else 0.0)


coverage = st.lists(st.dictionaries(st.integers(0, 6), st.integers(0, 12), max_size=5), min_size=1, max_size=6)


@given(coverage, st.integers(1, 2), st.booleans())
def test_what_is_dropped_covers_next_to_nothing_alone(margins, least, repeats):
    clusters = ["a", "a", "b", "c", "d", "e", "e"]
    dropped = redundant(
        margins,
        clusters,
        [len(margins) - k for k in range(len(margins))],
        [least] * len(margins),
        [repeats] * len(margins),
    )
    kept = [each for each, is_dropped in zip(margins, dropped, strict=True) if not is_dropped]

    def alone(each, others):
        """Clusters with a protein that no other profile covers as well, up to 8 bits."""
        return {
            clusters[i]
            for i, margin in each.items()
            if not any(i in other and (repeats or min(other[i], 8) >= min(margin, 8)) for other in others)
        }

    for k, each in enumerate(margins):
        others = [other for m, other in enumerate(margins) if m != k and (m < k and not dropped[m] or m > k)]
        assert dropped[k] == (len(alone(each, others)) < least)
    if least == 1:
        assert {i for each in margins for i in each} == {i for each in kept for i in each}


def _with_threshold(hmm):
    hmm.cutoffs.gathering = (25.0, 25.0)
    buffer = io.BytesIO()
    hmm.write(buffer)
    return buffer.getvalue()
