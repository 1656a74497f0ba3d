"""Labels follow the rules, and every entry that is lost is counted once and for the reason that is given."""

import errno
import gzip
import json
import os
from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.uniprot_server import KINDS, TITLES, entry, lines_of, write_download
from tfclass.config import CorpusConfig
from tfclass.data.curation import LabelConfig, curation_config
from tfclass.data.labelling import STEPS, label_corpus
from tfclass.data.labels import Labeller
from tfclass.data.manifest import read_manifest
from tfclass.data.table import read_table
from tfclass.errors import ConfigError, OutputError, TableError
from tfclass.sequences.alphabet import Alphabet

RULES = yaml.safe_load((Path(__file__).parents[2] / "conf" / "curation" / "swissprot.yaml").read_bytes())["label"]
TERMS = {"TF": "GO:0003700", "nonTF_hard": "GO:0003713", "ambiguous": "KW-0238", "nonTF": "GO:0016787"}
# Of the kinds of generated entries.
KIND_LABELS = ["nonTF", "nonTF", "TF", "ambiguous", "nonTF_hard", "nonTF_hard"]
PLACES = {"TF": "go_id", "nonTF_hard": "go_id", "ambiguous": "keywordid", "nonTF": "go_id"}


def labeller(**changes):
    return Labeller(curation_config(LabelConfig, "label", changes))


def line(accession, sequence, label, *, fragment="", lineage="Eukaryota (domain), Fungi (kingdom)"):
    cells = dict.fromkeys(TITLES, "") | {"accession": accession, "sequence": sequence, "fragment": fragment}
    cells |= {"organism_id": "559292", "lineage": lineage, PLACES[label]: TERMS[label]}
    return "\t".join(cells[field] for field in TITLES)


def labelled(folder, lines, **changes):
    """Write a download of these lines and label it; return the table, its manifest and the lost entries."""
    write_download(folder, ["\t".join(TITLES.values()), *lines])
    manifest, lost = label_corpus(folder, folder / "table.tsv", labeller(**changes))
    assert read_manifest(folder / "table.tsv") == json.loads(json.dumps(manifest))
    return pd.read_csv(folder / "table.tsv", sep="\t", dtype=str, keep_default_na=False), manifest, lost


@pytest.mark.parametrize(
    ("keywords", "terms", "label"),
    [
        ("KW-0238;KW-0805", "GO:0003700; GO:0005634", "TF"),
        ("", "GO:0000981", "TF"),
        ("", "GO:0004879", "TF"),
        ("KW-0238", "GO:0141097", "TF"),
        ("", "GO:0003707", "nonTF"),
        ("KW-0731", "GO:0003677; GO:0003700; GO:0016987", "nonTF_hard"),
        ("KW-0010", "GO:0003700; GO:0003713", "TF"),
        ("KW-0010", "GO:0003713", "nonTF_hard"),
        ("KW-0238;KW-0240", "GO:0003899", "nonTF_hard"),
        ("KW-0238;KW-0544", "GO:0030527", "nonTF_hard"),
        ("KW-0238", "GO:0003677", "ambiguous"),
        ("KW-0805", "", "ambiguous"),
        ("KW-0378", "GO:0003677", "nonTF"),
        ("", "", "nonTF"),
        ("KW-9999", "GO:9999999", "nonTF"),
    ],
    ids=[
        "a transcription factor",
        "a descendant of the term",
        "a nuclear receptor",
        "an activator that a ligand turns on",
        "a steroid receptor that need not be in the nucleus",
        "a sigma factor, though it has the term",
        "a transcription factor that is a co-regulator as well",
        "a co-regulator",
        "a polymerase, though it binds DNA",
        "a histone, though it binds DNA",
        "it binds DNA, and no more is known",
        "it regulates transcription, and no more is known",
        "a GO term for binding alone is no rule",
        "nothing known",
        "terms unheard of",
    ],
)
def test_the_shipped_rules_label(keywords, terms, label):
    assert labeller().decide(keywords, terms).label == label


def test_every_shipped_rule_has_source_and_reason_and_terms_of_its_own():
    for rule in RULES["rules"]:
        assert rule["source"]
        assert rule["why"]
        assert all(rule["terms"].values())
    terms = [term for rule in RULES["rules"] for term in rule["terms"]]
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize(
    ("lineage", "kingdom"),
    [
        ("cellular organisms (no rank), Bacteria (domain), Pseudomonadati (kingdom)", "Bacteria"),
        ("cellular organisms (no rank), Archaea (domain)", "Archaea"),
        ("Viruses (acellular root), Duplodnaviria (realm)", "Viruses"),
        ("cellular organisms (no rank), Eukaryota (superkingdom), Opisthokonta (clade), Metazoa (kingdom)", "Metazoa"),
        ("cellular organisms (no rank), Eukaryota (domain), Fungi (kingdom), Dikarya (subkingdom)", "Fungi"),
        ("cellular organisms (no rank), Eukaryota (domain), Viridiplantae (kingdom)", "Viridiplantae"),
        ("cellular organisms (no rank), Eukaryota (domain), Sar (clade)", "Eukaryota"),
        ("Eukaryota, Metazoa, Chordata", "Metazoa"),
        ("other entries (no rank), unclassified Bacteria (no rank)", "Other"),
        ("", "Other"),
    ],
)
def test_the_kingdom_is_found_in_the_lineage_with_ranks_and_without(lineage, kingdom):
    assert labeller().kingdom(lineage) == kingdom


ROWS = st.lists(
    st.tuples(
        st.sampled_from([f"A0A{number:07}" for number in range(6)]),
        st.sampled_from(["MKV", "MKI", "MAAA", "MW"]),
        st.sampled_from(list(TERMS)),
        st.sampled_from(["", "", "", "fragment"]),
    ),
    min_size=1,
    max_size=14,
)


def by_hand(rows, conflicts):
    """Do the same with sets and loops: the rows that are kept, and how many each step loses."""
    lost = Counter()
    of_id = defaultdict(set)
    for name, sequence, _, fragment in rows:
        of_id[name] |= set() if fragment else {sequence}
    left, seen = [], set()
    for row in rows:
        name, sequence, label, fragment = row
        if fragment:
            lost["fragment"] += 1
        elif len(of_id[name]) > 1:
            lost["id with two sequences"] += 1
        elif name in seen:
            lost["repeated row"] += 1
        else:
            left.append((name, label, sequence))
            seen.add(name)
    kept = []
    for position, (name, label, sequence) in enumerate(left):
        among = {other for _, other, same in left if same == sequence}
        if "TF" in among and conflicts == "leave_out" and among & {"nonTF", "nonTF_hard"}:
            lost["conflict"] += 1
            continue
        best = next(kind for kind in ("TF", "nonTF_hard", "ambiguous", "nonTF") if kind in among)
        if best == "ambiguous":
            lost["ambiguous"] += 1
        elif label == best and (best, sequence) not in [earlier[1:] for earlier in left[:position]]:
            kept.append((name, best, sequence))
        else:
            lost["identical sequence"] += 1
    return kept, lost


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, conflicts=st.sampled_from(["leave_out", "positive"]))
def test_labelling_agrees_with_a_brute_force_of_the_rules(rows, conflicts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    lines = [line(name, sequence, label, fragment=fragment) for name, sequence, label, fragment in rows]
    kept, lost = by_hand(rows, conflicts)
    if {label == "TF" for _, label, _ in kept} != {True, False}:
        with pytest.raises(TableError, match=rf"found no protein of class '(TF|nonTF)' left of {len(rows)} entries"):
            labelled(folder, lines, conflicts=conflicts)
        assert not (folder / "table.tsv").exists()
        return
    table, manifest, lost_rows = labelled(folder, lines, conflicts=conflicts)
    funnel = manifest["funnel"]
    assert list(zip(table["id"], table["label"], table["sequence"], strict=True)) == kept
    assert {step["step"]: step["lost"] for step in funnel["steps"]} == {step: lost[step] for step in STEPS}
    assert (funnel["rows_in"], funnel["rows_out"]) == (len(rows), len(kept))
    assert funnel["steps"][-1]["left"] == len(kept)
    assert sum(manifest["notes"].values()) == len(rows)
    assert Counter(lost_rows["reason"]) == +lost


def test_contradictions_are_named(tmp_path):
    lines = [
        line("A0A0000001", "MKV", "TF"),
        line("A0A0000002", "MKV", "nonTF"),
        line("A0A0000003", "MKI", "TF"),
        line("A0A0000003", "MKA", "TF"),
        line("A0A0000004", "MKW", "nonTF"),
        line("A0A0000005", "MKY", "TF"),
    ]
    table, _, lost = labelled(tmp_path, lines)
    assert list(table["id"]) == ["A0A0000004", "A0A0000005"]
    detail = "A0A0000001 is TF, A0A0000002 is nonTF"
    assert lost[["id", "label", "reason", "detail"]].to_numpy().tolist() == [
        ["A0A0000001", "TF", "conflict", detail],
        ["A0A0000002", "nonTF", "conflict", detail],
        ["A0A0000003", "TF", "id with two sequences", "3 residues here"],
        ["A0A0000003", "TF", "id with two sequences", "3 residues here"],
    ]


def test_the_labelled_table_can_be_read_and_is_counted_by_kingdom(tmp_path):
    write_download(tmp_path, lines_of(range(2000)))
    manifest, _ = label_corpus(tmp_path, tmp_path / "table.tsv", labeller())
    proteins = read_table(CorpusConfig.default(path=str(tmp_path / "table.tsv")), Alphabet())
    frame = pd.read_csv(tmp_path / "table.tsv", sep="\t", dtype=str)
    assert list(frame.columns) == ["id", "label", "kingdom", "organism_id", "sequence"]
    of_kind = {kind[0]: label for kind, label in zip(KINDS, KIND_LABELS, strict=True)}
    expected = Counter(of_kind[entry(number)["keywordid"]] for number in range(2000))
    counts = Counter()
    for group in manifest["sizes"]:
        counts[group["label"]] += group["proteins"]
    assert counts == {label: expected[label] for label in ("TF", "nonTF_hard", "nonTF")}
    assert int(proteins.labels.sum()) == expected["TF"]
    for group in manifest["sizes"]:
        own = (frame["kingdom"] == group["kingdom"]) & (frame["label"] == group["label"])
        assert group["proteins"] == own.sum()
    assert {group["kingdom"] for group in manifest["sizes"]} == {*RULES["kingdoms"], "Other"}


def test_fragments_stay_where_the_rules_say_so(tmp_path):
    lines = [line("A0A0000001", "MKV", "TF", fragment="fragment"), line("A0A0000002", "MKI", "nonTF")]
    lines += [line("A0A0000003", "MKW", "TF")]
    assert len(labelled(tmp_path, lines)[0]) == 2
    assert len(labelled(tmp_path, lines, drop_fragments=False)[0]) == 3


def test_an_empty_class_is_refused_with_its_losses(tmp_path):
    lines = [
        line("A0A0000001", "MKV", "TF", fragment="fragment"),
        line("A0A0000002", "MKI", "TF"),
        line("A0A0000003", "MKI", "nonTF"),
        line("A0A0000004", "MKW", "nonTF"),
    ]
    (tmp_path / "table.tsv").write_text("older")
    with pytest.raises(TableError) as raised:
        labelled(tmp_path, lines)
    assert str(raised.value) == (
        f"{tmp_path / 'table.tsv'}: found no protein of class 'TF' left of 4 entries (fragment: 1, conflict: 2); "
        "expected at least one; another search or other rules may do"
    )
    assert (tmp_path / "table.tsv").read_text() == "older"
    assert not (tmp_path / "table.tsv.manifest.json").exists()


def test_a_full_disk_leaves_all_files_as_they_were(tmp_path, monkeypatch):
    labelled(tmp_path, [line("A0A0000001", "MKV", "TF"), line("A0A0000002", "MKI", "nonTF")])
    before = {
        name: (tmp_path / name).read_bytes() for name in ("table.tsv", "table.lost.tsv", "table.tsv.manifest.json")
    }
    replace = os.replace

    def full(source, target):
        if Path(target).name == "table.tsv.manifest.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="table.tsv.manifest.json: found a place that cannot be written"):
        labelled(tmp_path, [line("A0A0000003", "MKV", "TF"), line("A0A0000004", "MKI", "nonTF")])
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_a_tf_without_the_requested_evidence_is_ambiguous(tmp_path):
    proven = line("A0A0000001", "MKV", "TF")
    lines = [
        proven,
        line("A0A0000002", "MKI", "TF"),
        line("A0A0000003", "MKV", "TF"),
        line("A0A0000004", "MKI", "nonTF"),
        line("A0A0000005", "MKW", "nonTF"),
    ]
    (tmp_path / "proof").mkdir()
    header = "\t".join(TITLES.values())
    write_download(tmp_path, [header, *lines])
    write_download(tmp_path / "proof", [header, proven])
    labelled, _ = label_corpus(tmp_path, tmp_path / "table.tsv", labeller(), evidence=tmp_path / "proof")
    table = pd.read_csv(tmp_path / "table.tsv", sep="\t")
    assert list(zip(table["id"], table["label"], strict=True)) == [("A0A0000001", "TF"), ("A0A0000005", "nonTF")]
    assert labelled["notes"]["transcription factor, on other evidence"] == 2
    assert labelled["database"]["evidence"] == "all"
    manifest = json.loads((tmp_path / "proof" / "manifest.json").read_text())
    (tmp_path / "proof" / "manifest.json").write_text(json.dumps(manifest | {"release": "2026_02"}))
    with pytest.raises(
        TableError, match="found UniProt release 2026_02; expected 2026_03, as of the entries; fetch both"
    ):
        label_corpus(tmp_path, tmp_path / "table.tsv", labeller(), evidence=tmp_path / "proof")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conflicts": "maybe"}, "curation.label.conflicts: found 'maybe'; expected 'leave_out' or 'positive'"),
        ({"rules": []}, "curation.label.rules: found []; expected "),
        (
            {"rules": [{"name": "one", "label": "TF", "terms": {"GO:3700": "short"}}]},
            "curation.label.rules.0.terms.GO:3700",
        ),
        ({"rules": [{"name": "one", "label": "yes", "terms": {"GO:0003700": ""}}]}, "curation.label.rules.0.label"),
        (
            {"rules": [{"name": "one", "label": "TF", "trems": {}}]},
            "curation.label.rules.0.trems: unknown option; did you mean terms?",
        ),
    ],
    ids=[
        "an unknown way with conflicts",
        "no rule",
        "a term that is none",
        "a label that is none",
        "a key that is none",
    ],
)
def test_a_wrong_rule_is_named(change, message):
    with pytest.raises(ConfigError) as raised:
        labeller(**change)
    assert str(raised.value).startswith(message)


def test_a_damaged_or_incomplete_download_is_one_line_and_the_table_stays(tmp_path):
    (tmp_path / "table.tsv").write_text("older")
    with pytest.raises(TableError, match=r"found no manifest.json; expected a complete download"):
        label_corpus(tmp_path, tmp_path / "table.tsv", labeller())
    write_download(tmp_path, lines_of(range(50), ["accession", "sequence"]), ["accession", "sequence"])
    with pytest.raises(TableError, match=r"found a download without 'organism_id'; expected a field for it"):
        label_corpus(tmp_path, tmp_path / "table.tsv", labeller())
    write_download(tmp_path, [*lines_of(range(50)), "A0A0000051\tA"])
    with pytest.raises(TableError, match=r"entries.tsv.gz: found a file that cannot be read"):
        label_corpus(tmp_path, tmp_path / "table.tsv", labeller())
    with pytest.raises(TableError, match=r"found a name ending in '.csv'; expected .tsv or .tsv.gz"):
        label_corpus(tmp_path, tmp_path / "table.csv", labeller())
    assert (tmp_path / "table.tsv").read_text() == "older"


def test_the_command_prints_the_funnel_and_takes_other_rules(tfclass, tmp_path):
    (tmp_path / "raw").mkdir()
    contradicting = [line("A0B0000001", "MKV", "TF"), line("A0B0000002", "MKV", "nonTF")]
    write_download(tmp_path / "raw", [*lines_of(range(300)), *contradicting])
    done = tfclass("data", "label", "raw", "-o", "interim/swissprot.tsv")
    assert done.status == 0
    funnel = json.loads((tmp_path / "interim" / "swissprot.tsv.manifest.json").read_text())["funnel"]
    table = pd.read_csv(tmp_path / "interim" / "swissprot.tsv", sep="\t")
    printed = [words.split() for words in done.out.splitlines()]
    assert ["rows", "in", "302"] in printed
    assert ["rows", "out", str(funnel["rows_out"])] in printed
    assert ["conflict", "2"] in [words[:2] for words in printed]
    fungi = table.loc[table["kingdom"] == "Fungi", "label"].value_counts()
    n_fungi = fungi.sum()
    numbers = [*(str(fungi[label]) for label in ("TF", "nonTF_hard", "nonTF")), str(n_fungi)]
    assert ["Fungi", *numbers, f"{fungi['TF'] / n_fungi:.1%}"] in printed
    assert done.err.splitlines() == [
        "conflict: A0B0000001 is TF, A0B0000002 is nonTF",
        f"interim/swissprot.tsv: {funnel['rows_out']} proteins, {(table['label'] == 'TF').sum()} of them TF",
    ]
    checked = tfclass("data", "check", "interim/swissprot.tsv")
    assert (checked.status, checked.err) == (0, "")
    shown = [words.split() for words in checked.out.splitlines()]
    for step in funnel["steps"]:
        expected = [*step["step"].split(), str(step["lost"]), str(step["left"]), *step["why"].split()]
        assert expected in shown
    numbers = (fungi["TF"], fungi["nonTF_hard"] + fungi["nonTF"], n_fungi)
    assert ["Fungi", *map(str, numbers), f"{fungi['TF'] / n_fungi:.1%}"] in shown
    assert "clusters" not in checked.out
    rules = {"rules": [{"name": "enzyme", "label": "TF", "terms": {"KW-0378": "Hydrolase"}}]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"label": rules}))
    own = tfclass("data", "label", "raw", "-o", "own.tsv", "--rules", "rules.yaml", "--conflicts", "positive")
    assert own.status == 0
    hydrolases = sum("KW-0378" in entry(number)["keywordid"] for number in range(300))
    assert f"{hydrolases} of them TF" in own.err
    missing = tfclass("data", "label", "raw", "--rules", "nowhere.yaml")
    assert (missing.status, missing.err.count("\n")) == (2, 1)
    assert missing.err.startswith("tfclass: nowhere.yaml: found something that cannot be used")


def test_a_download_cut_short_is_one_line(tfclass, tmp_path):
    write_download(tmp_path, lines_of(range(300)))
    whole = (tmp_path / "entries.tsv.gz").read_bytes()
    (tmp_path / "entries.tsv.gz").write_bytes(whole[: len(whole) // 2])
    failed = tfclass("data", "label", ".", "-o", "table.tsv")
    assert (failed.status, failed.err) == (
        2,
        "tfclass: entries.tsv.gz: checksum mismatch with manifest.json; tfclass data fetch --restart fetches it "
        "again\n",
    )
    assert gzip.decompress(whole).count(b"\n") == 301
    assert not (tmp_path / "table.tsv").exists()
