"""Letters and tokens; the cleaning rules against a slow reading of the same rules; ranges of residues against sets."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfclass.errors import ResidueError
from tfclass.sequences.alphabet import GAP, ILLEGAL, PAD, STOP, Alphabet, clean, merged

LETTERS = "ACDEFGHIKLMNPQRSTVWYBJOUXZ"
residues = st.text(LETTERS + LETTERS.lower())


def test_there_are_26_letters_and_padding_is_token_0(alphabet):
    assert alphabet.size == 27
    assert PAD == 0
    assert alphabet.decode(np.zeros(3, np.uint8)) == "---"


def test_the_tokens_of_the_letters_are_fixed_for_good(alphabet):
    # Trained weights depend on this order.
    assert dict(zip(LETTERS, alphabet.encode(LETTERS).tolist(), strict=True)) == {
        letter: i for i, letter in enumerate("ACDEFGHIKLMNPQRSTVWYBJOUXZ", start=1)
    }
    assert alphabet.unknown == alphabet.encode("X")[0]


@pytest.mark.parametrize("letter", LETTERS)
def test_a_letter_comes_back_and_its_lower_case_is_the_same_residue(alphabet, letter):
    assert alphabet.decode(alphabet.encode(letter)) == letter
    assert alphabet.decode(alphabet.encode(letter.lower())) == letter


@given(residues)
def test_every_sequence_comes_back_in_upper_case(alphabet, sequence):
    tokens = alphabet.encode(sequence)
    assert tokens.dtype == np.uint8
    assert tokens.shape == (len(sequence),)
    assert alphabet.decode(tokens) == sequence.upper()


@given(st.text(st.characters(), max_size=50))
def test_any_text_has_one_code_per_character(alphabet, text):
    special = {"-": GAP, ".": GAP, "*": STOP}
    expected = [
        LETTERS.index(c.upper()) + 1 if c.isascii() and c.upper() in LETTERS else special.get(c, ILLEGAL) for c in text
    ]
    assert alphabet.codes(text).tolist() == expected


@pytest.mark.parametrize(
    ("sequence", "position", "shown"),
    [("1MK", 1, "'1'"), ("MK-V", 3, "'-'"), ("MKV*", 4, "'*'"), ("MéV", 2, "'é'"), ("M\tV1", 2, r"'\t'")],
    ids=["a digit", "a gap", "a stop", "an accented letter", "a tab before a digit"],
)
def test_a_letter_that_is_no_residue_is_refused_with_its_position(alphabet, sequence, position, shown):
    with pytest.raises(ResidueError) as caught:
        alphabet.encode(sequence)
    assert str(caught.value) == f"position {position}: found {shown}; expected one of {LETTERS}"


def test_the_table_cannot_be_changed(alphabet):
    with pytest.raises(ValueError, match="read-only"):
        alphabet._table[65] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        alphabet.letters = "ACGT"


def test_changing_a_result_does_not_change_later_results(alphabet):
    alphabet.codes("ACD")[:] = 9
    assert alphabet.encode("ACD").tolist() == [1, 2, 3]


def test_alphabets_are_equal_when_their_letters_are():
    assert Alphabet() == Alphabet()
    assert hash(Alphabet()) == hash(Alphabet())
    assert copy.deepcopy(Alphabet()) == Alphabet()
    assert Alphabet() != Alphabet("ACX")
    assert len({Alphabet(), Alphabet(), Alphabet("ACX")}) == 2


UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
DNA = "ATGCAGATCTTCGTGAAGACCCTGACCGGC"

MENDED = {
    "a plain sequence": ("MKV", "MKV", ()),
    "lower case": ("mkV", "MKV", ()),
    "a stop at the end": ("MKV*", "MKV", ("stop_removed",)),
    "several stops at the end": ("MKV***", "MKV", ("stop_removed",)),
    "a stop inside": ("MK*V", "MKXV", ("internal_stops=1",)),
    "a stop at the start": ("*MKV", "XMKV", ("internal_stops=1",)),
    "stops inside and at the end": ("M*K*V*", "MXKXV", ("stop_removed", "internal_stops=2")),
    "gaps of both kinds": ("M-K..V", "MKV", ("gaps_removed=3",)),
    "a stop after gaps": ("MKV--*", "MKV", ("stop_removed", "gaps_removed=2")),
    "gaps after a stop": ("MKV*--", "MKV", ("stop_removed", "gaps_removed=2")),
    "every nonstandard letter": ("MBJOUXZ", "MBJOUXZ", ("nonstandard=6",)),
    "one residue": ("M", "M", ()),
    "a real protein": (UBIQUITIN, UBIQUITIN, ()),
    "silk, nearly all G and A": ("GAGAGS" * 20, "GAGAGS" * 20, ()),
    "a repeat of G and A only": ("GAGAGA" * 20, "GAGAGA" * 20, ()),
    "a repeat of A, C and G only": ("GACAGC" * 20, "GACAGC" * 20, ()),
    "DNA": (DNA, DNA, ("looks_like_nucleotide",)),
    "DNA in lower case with some N": (DNA.lower() + "n" * 9, DNA + "N" * 9, ("looks_like_nucleotide",)),
    "RNA": (DNA.replace("T", "U"), DNA.replace("T", "U"), ("nonstandard=6", "looks_like_nucleotide")),
    "a word for a missing value": ("NaN", "NAN", ("looks_like_empty_value",)),
    "the longest such word": ("null", "NULL", ("nonstandard=1", "looks_like_empty_value")),
    "such a word and more": ("nullM", "NULLM", ("nonstandard=1",)),
    "a piece of DNA too short to tell": (DNA[:29], DNA[:29], ()),
}
SKIPPED = {
    "nothing": ("", (), "empty"),
    "only gaps": ("--..", ("gaps_removed=4",), "empty"),
    "only stops": ("***", ("stop_removed",), "empty"),
    "stops and gaps": ("-*-", ("stop_removed", "gaps_removed=2"), "empty"),
    "a digit": ("MKVLAMKVLAMKVLAM1V", (), "illegal '1' at 17"),
    "a tab": ("M\tV", (), r"illegal '\t' at 2"),
    "an accented letter": ("MKÉ", (), r"illegal '\xc9' at 3"),
    "a letter that upper-cases to S": ("MKſ", (), r"illegal '\u017f' at 3"),
    "a byte that was not UTF-8": ("MK\udcff", (), r"illegal '\udcff' at 3"),
    "an illegal letter after a gap and a stop": ("-*1", (), "illegal '1' at 3"),
    "the first of two illegal letters": ("M?V1", (), "illegal '?' at 2"),
}


@pytest.mark.parametrize(("given_", "scored", "notes"), MENDED.values(), ids=MENDED)
def test_a_sequence_is_repaired_and_noted(alphabet, given_, scored, notes):
    cleaned = clean(given_, alphabet)
    assert (alphabet.decode(cleaned.tokens), cleaned.notes, cleaned.problem) == (scored, notes, "")


@pytest.mark.parametrize(("given_", "notes", "problem"), SKIPPED.values(), ids=SKIPPED)
def test_a_sequence_is_skipped_for_a_stated_reason(alphabet, given_, notes, problem):
    cleaned = clean(given_, alphabet)
    assert (cleaned.tokens.size, cleaned.notes, cleaned.problem) == (0, notes, problem)


def slowly_cleaned(text):
    """The documented rules, letter by letter, in strings."""
    for position, letter in enumerate(text, start=1):
        if letter not in LETTERS + LETTERS.lower() + "-.*":
            return "", (), f"illegal {ascii(letter)} at {position}"
    ungapped = text.upper().replace("-", "").replace(".", "")
    trimmed = ungapped.rstrip("*")
    residues = trimmed.replace("*", "X")
    counts = {
        "internal_stops": trimmed.count("*"),
        "gaps_removed": len(text) - len(ungapped),
        "nonstandard": sum(letter in "BJOUXZ" for letter in trimmed),
    }
    notes = ("stop_removed",) * (trimmed != ungapped) + tuple(f"{name}={n}" for name, n in counts.items() if n)
    if not residues:
        return "", notes, "empty"
    all_four = {"A", "C", "G"} <= set(residues) and bool({"T", "U"} & set(residues))
    share = sum(letter in "ACGTUN" for letter in residues) / len(residues)
    if len(residues) >= 30 and all_four and share >= 0.95:
        notes += ("looks_like_nucleotide",)
    if text.lower() in {"na", "nan", "nil", "none", "null"}:
        notes += ("looks_like_empty_value",)
    return residues, notes, ""


texts = st.one_of(
    st.text(st.characters()),
    st.text(LETTERS + LETTERS.lower() + "*-."),
    st.text("ACGTUNacgt*-.K", min_size=28, max_size=60),
    st.text("ACGT", min_size=38, max_size=60).flatmap(lambda s: st.sampled_from([s, s + "MK", s + "MKV", s + "***"])),
)


@given(texts)
def test_any_text_is_cleaned_as_the_rules_say(alphabet, text):
    cleaned = clean(text, alphabet)
    assert (alphabet.decode(cleaned.tokens), cleaned.notes, cleaned.problem) == slowly_cleaned(text)


@given(texts)
def test_the_network_only_ever_sees_residue_tokens(alphabet, text):
    cleaned = clean(text, alphabet)
    assert bool(cleaned.problem) == (cleaned.tokens.size == 0)
    assert all(1 <= token <= 26 for token in cleaned.tokens.tolist())


@given(texts)
def test_what_was_cleaned_once_needs_no_more_cleaning(alphabet, text):
    once = alphabet.decode(clean(text, alphabet).tokens)
    again = clean(once, alphabet)
    assert alphabet.decode(again.tokens) == once
    assert not [note for note in again.notes if note.startswith(("stop", "internal", "gaps"))]


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 6)).map(lambda place: (place[0], sum(place)))))
def test_merged_ranges_cover_the_same_residues_and_lie_apart(ranges):
    found = merged(ranges)
    covered = {residue for start, end in ranges for residue in range(start, end + 1)}
    assert [residue for start, end in found for residue in range(start, end + 1)] == sorted(covered)
    assert all(start > before + 1 for (_, before), (start, _) in itertools.pairwise(found))
