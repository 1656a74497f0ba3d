"""Segments against a loop over residues, and their lines against the rules of GFF3."""

from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfclass.interpretation.segments import domains_of, gff3_lines, high_segments, segments_of

VALUES = st.lists(st.floats(-5, 5).map(lambda x: round(x, 2)), min_size=1, max_size=80)


@given(VALUES)
def test_segments_are_the_long_runs_of_high_means(values):
    means = [float(np.mean(values[max(0, i - 4) : i + 5])) for i in range(len(values))]
    # A mean at the very edge may be rounded to either side.
    low, high = (max(means) / 3 + margin for margin in (1e-9, -1e-9))
    found = {i for start, end in high_segments(np.array(values)) for i in range(start - 1, end)}
    if max(means) <= 0:
        assert not found
        return
    runs, run = [], []
    for i, mean in enumerate([*means, -np.inf]):
        if mean >= high:
            run.append(i)
        else:
            runs, run = [*runs, run], []
    assert found <= {i for run in runs for i in run}
    if all(not low > mean >= high for mean in means):
        assert found == {i for run in runs if len(run) >= 5 for i in run}


def test_a_segment_has_the_sum_of_its_attributions(explanation):
    for each in segments_of(explanation):
        values = explanation.attributions[each.kind].value_L[each.start - 1 : each.end]
        assert each.value == pytest.approx(values.mean() if each.kind == "occlusion" else values.sum())
        assert len(values) == each.end - each.start + 1


def test_domains_are_those_of_the_network_and_of_the_profile(explanation):
    found = domains_of(explanation)
    assert {each.kind for each in found} <= {"network", "profile"}
    profile = [each for each in found if each.kind == "profile"]
    covered = {i for each in explanation.profile.alignments for i in range(each.start, each.end + 1)}
    assert {i for each in profile for i in range(each.start, each.end + 1)} == covered


@pytest.mark.parametrize("name", ["", ".", ">a", "a;b=c,d&e", "%41", "a~b", "ünï", "a" * 300, "</script>", "\ud800"])
def test_lines_are_gff3_whatever_the_id(explanation, row, name):
    text = "".join(gff3_lines(7, {**row, "id": name}, explanation, "tfclass_v0"))
    text.encode("utf-8")
    first, *lines, last = text.splitlines()
    assert last == "###"
    assert len(lines) == len(domains_of(explanation)) + len(segments_of(explanation))
    for line in lines:
        sequence, source, kind, start, end, score, strand, phase, attributes = line.split("\t")
        assert f"##sequence-region {sequence} 1 {len(explanation.residues)}" == first
        assert not sequence.startswith((">", "."))
        assert unquote(sequence) == ((name or "record 7") if name != "\ud800" else "\\ud800")
        assert (source, strand, phase) == ("tfclass_v0", ".", ".")
        assert 1 <= int(start) <= int(end) <= len(explanation.residues)
        assert kind in ("polypeptide_domain", "polypeptide_region")
        assert score == "." or float(score)
        assert dict(part.split("=") for part in attributes.split(";")).keys() >= {"ID", "Name"}


def test_places_are_those_in_the_sequence_as_given(explanation, row):
    shifted = explanation._replace(position_L=explanation.position_L * 2)
    lines = [line.split("\t") for line in gff3_lines(1, row, explanation, "x") if line[0] != "#"]
    moved = [line.split("\t") for line in gff3_lines(1, row, shifted, "x") if line[0] != "#"]
    assert [[2 * int(each) for each in line[3:5]] for line in lines] == [[*map(int, line[3:5])] for line in moved]


def test_records_of_one_id_are_told_apart(explanation, row):
    first, second = ({**row, "notes": notes} for notes in ("", "stop_removed;duplicate_id"))
    names = [next(gff3_lines(n, each, explanation, "x")).split()[1] for n, each in enumerate((first, second), 1)]
    assert names == ["a", "a%20record%202"]
