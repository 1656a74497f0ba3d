"""What a teacher adds to a table, on proteins for which it is known what should be added."""

import gzip
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_module

from tests.channels.test_build_profiles import ALPHABET, ZINC_FINGERS
from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.save import save_bundle
from tfclass.channels.align_profiles import build_profile
from tfclass.channels.domains import known_domains
from tfclass.channels.profile import ProfileChannel
from tfclass.channels.regions import read_regions
from tfclass.channels.stacking import Stacking
from tfclass.config import CorpusConfig
from tfclass.data.annotations import read_annotations
from tfclass.data.table import read_table
from tfclass.errors import BundleError, ConfigError, TableError
from tfclass.inference.predictor import Predictor
from tfclass.pipelines.profiles import build_profiles
from tfclass.search.hmmer import OF_CLUSTER, Hit, Library, Profile
from tfclass.sequences.fasta import Record

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "tf-bilstm"
sys.path.insert(0, str(RECIPE))
from pseudo_labels import foreign_profiles, make_training_table, names_of_profiles, profiles  # noqa: E402
from rules import Rules, read_rules  # noqa: E402

RULES = Rules(
    families={"C2H2": ("C2H2", "zf-C2H2*", "2.3.*"), "bHLH": ("bHLH", "HLH")},
    too_broad={"cisbp_*": ("bHLH",)},
    repeats={"Bacteria": 3, "nonTF_hard": 2},
)
FINGER = ZINC_FINGERS[0]
PLAIN = "MSTNPKPQRKTKRNTNRRPQDVKFPGGGQIVGGVYLLPRRGPRLGVRATRKTSERSQPRG"
ROWS = [
    # id, label, kingdom, family, sequence, split
    ("finger", "TF", "Metazoa", "BTB;zf-C2H2_6", PLAIN + FINGER, "train"),
    ("unknown", "TF", "Metazoa", "NA", PLAIN[:40], "train"),
    ("bacterium", "TF", "Bacteria", "", PLAIN[10:], "train"),
    ("enzyme", "nonTF", "Metazoa", "", PLAIN[5:], "train"),
    ("histone", "nonTF_hard", "Metazoa", "", PLAIN[3:], "train"),
    ("zinc", "nonTF_hard", "Metazoa", "", FINGER + FINGER + PLAIN[2:], "train"),
    ("mistake", "nonTF", "Metazoa", "", FINGER + FINGER + PLAIN, "train"),
    ("judge", "nonTF", "Metazoa", "", FINGER + FINGER + PLAIN[1:], "test"),
    ("known", "TF", "Metazoa", "HLH", PLAIN[20:] + FINGER, "valid"),
]


@pytest.fixture
def table(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["id", "label", "kingdom", "family", "sequence", "split"])
    frame["cluster"] = frame["id"]
    path = tmp_path / "table.tsv"
    frame.to_csv(path, sep="\t", index=False)
    return path


@pytest.fixture
def teacher(tmp_path, small_bundle):
    """A model that says what its profiles say: 0.98 where one is believed, 0.002 where none fits."""
    hmm = build_profile("finger", ZINC_FINGERS)
    library = Library([Profile(hmm, "finger", "C2H2", 15.0), Profile(hmm, f"{OF_CLUSTER}7", "", 60.0, "cluster")])
    stacking = Stacking(-6.0, (0.0, 0.0, 0.0, 6.0, 2.0, 2.0), 0.5, 0.3)
    channels = {"profile": ProfileChannel(library, small_bundle.alphabet)}
    taught = replace(small_bundle, channels=channels, stacked={"combined": stacking})
    save_bundle(taught, tmp_path / "teacher", card="")
    return tmp_path / "teacher"


def enrich(table, teacher, **extras):
    output = table.parent / "enriched.tsv"
    done = make_training_table(table, output, str(teacher), RULES, **extras, threads=1)
    return done, pd.read_csv(output, sep="\t", keep_default_na=False).set_index("id")


def test_families_get_one_name_and_negatives_none(table, teacher):
    _, rows = enrich(table, teacher)
    named = {"finger": "C2H2", "unknown": "", "bacterium": "", "known": "bHLH", "enzyme": "", "histone": ""}
    assert rows["family"].loc[list(named)].to_dict() == named


def test_a_name_that_is_too_broad_in_a_source_says_nothing_there():
    assert RULES.family_of("HLH", source="planttfdb") == "bHLH"
    assert RULES.family_of("HLH", source="cisbp_arabidopsis+planttfdb") == ""
    assert RULES.family_of("zf-C2H2_6", source="cisbp_arabidopsis") == "C2H2"


def test_a_profile_of_several_families_names_none():
    hmm = build_profile("finger", ZINC_FINGERS)
    library = Library([Profile(hmm, "a", "", 15.0), Profile(hmm, "b", "", 15.0)])
    hits = [Hit(0, protein, 20.0, ((1, 5),)) for protein in range(10)]
    hits += [Hit(1, protein, 20.0, ((1, 5),)) for protein in range(10, 15)]
    families = ["C2H2"] * 9 + ["bHLH"] + ["", "bHLH", "bHLH", "bHLH", "C2H2", "C2H2"]
    best = library.best(hits, len(families))
    assert names_of_profiles(families, best, RULES) == {0: "C2H2"}
    lenient = replace(RULES, family_share=0.6)
    assert names_of_profiles(families, best, lenient) == {0: "C2H2", 1: "bHLH"}


def test_domains_lie_where_a_profile_of_a_known_domain_fits(table, teacher):
    _, rows = enrich(table, teacher)
    start, end = map(int, rows["domains"]["finger"].split("-"))
    assert abs(start - len(PLAIN) - 1) <= 3
    assert abs(end - len(PLAIN) - len(FINGER)) <= 3
    nothing = {"unknown": "", "bacterium": "", "enzyme": "none", "histone": ""}
    assert rows["domains"].loc[list(nothing)].to_dict() == nothing


def test_a_training_label_that_profiles_contradict_goes_and_a_test_label_stays(table, teacher):
    done, rows = enrich(table, teacher)
    assert done["contradictions left out"] == 1
    assert "mistake" not in rows.index
    # Somebody judged this one.
    assert rows.loc["zinc", "label"] == "nonTF"
    assert rows.loc["judge", ["label", "split"]].tolist() == ["nonTF", "test"]


def test_rare_proteins_are_repeated_under_ids_of_their_own(table, teacher):
    done, rows = enrich(table, teacher)
    assert [name for name in rows.index if name.startswith("bacterium")] == ["bacterium", "bacterium~2", "bacterium~3"]
    assert [name for name in rows.index if "~" in name] == ["bacterium~2", "bacterium~3", "histone~2", "zinc~2"]
    assert done["repeated"] == 4


def test_pseudo_labelled_relatives_of_rare_proteins_are_repeated_too(table, teacher):
    frame = pd.read_csv(table, sep="\t", keep_default_na=False)
    frame.loc[frame["id"] == "finger", "kingdom"] = "Bacteria"
    frame.to_csv(table, sep="\t", index=False)
    fasta = table.parent / "unlabelled.fasta"
    fasta.write_text(f">two\n{FINGER + PLAIN[7:] + FINGER}\n")
    _, rows = enrich(table, teacher, unlabelled=fasta)
    assert [name for name in rows.index if name.startswith("unlabelled")] == [
        f"unlabelled:0:two{x}" for x in ("", "~2", "~3")
    ]


def test_unlabelled_proteins_are_labelled_where_the_teacher_is_sure(table, teacher):
    fasta = table.parent / "unlabelled.fasta"
    fasta.write_text(
        f">two\n{FINGER + PLAIN[7:] + FINGER}\n>none\n{PLAIN[::-1]}\n>again\n{PLAIN + FINGER}\n>odd\nM1K\n"
        f">small\n{(PLAIN + FINGER).lower()}\n>twice\n{PLAIN[::-1]}*\n"
    )
    done, rows = enrich(table, teacher, unlabelled=fasta)
    added = rows[rows["source"] == "teacher"]
    assert list(zip(added["label"], added["family"], added["split"], strict=True)) == [
        ("TF", "C2H2", "train"),
        ("nonTF", "", "train"),
    ]
    assert (done["pseudo-labelled as positive"], done["pseudo-labelled as negative"]) == (1, 1)
    assert not added.index.duplicated().any()


def test_a_profile_is_foreign_that_fits_more_of_the_other_groups():
    best = [0, 0, 0, 1, 1, 2, 2, -1]
    assert foreign_profiles(best, np.array([1, 0, 0, 1, 1, 1, 0, 0], dtype=bool)) == {0}


def of_two_species(table, teacher, rules, **sequences):
    """Label each protein in a species of sparse groups and, with a residue more, in another."""
    fasta, output = table.parent / "unlabelled.fasta", table.parent / "enriched.tsv"
    fasta.write_text("".join(f">{name}_ECOLI\n{s}\n>{name}_HUMAN\n{s}M\n" for name, s in sequences.items()))
    make_training_table(table, output, str(teacher), rules, unlabelled=fasta, threads=1)
    return told_by_teacher(output)


def told_by_teacher(output):
    """Labels of the teacher by the id in the FASTA file."""
    rows = pd.read_csv(output, sep="\t", keep_default_na=False)
    added = rows[rows["source"] == "teacher"]
    return dict(zip(added["id"].str.split(":").str[2], added["label"], strict=True))


def test_in_sparse_groups_what_is_like_a_profile_of_others_is_none(table, teacher):
    # The profile fits a protein of Metazoa alone. A third of a finger is 3 bits below its threshold.
    rules = replace(RULES, sparse=("Bacteria",), sparse_species=("*_ECOLI",))
    told = of_two_species(table, teacher, rules, sure=FINGER + PLAIN[7:] + FINGER, near=PLAIN[20:] + FINGER[:8])
    assert told == {"sure_HUMAN": "TF", "near_ECOLI": "nonTF"}


def test_in_sparse_groups_what_a_profile_of_others_fits_better_is_none(table, teacher):
    bundle = load_bundle(teacher)
    profiles = bundle.channels["profile"].library.profiles
    tail = PLAIN[7:37]
    rival = Profile(build_profile("rival", [finger + tail for finger in ZINC_FINGERS]), "rival", "", 15.0, "other")
    channel = ProfileChannel(Library([*profiles, rival]), bundle.alphabet)
    save_bundle(replace(bundle, channels={"profile": channel}), table.parent / "rivals", card="")
    rules = replace(RULES, sparse=("Metazoa",), sparse_species=("*_ECOLI",))
    # By its margin less the lead of the rival the teacher is sure of the first, and not of the second.
    told = of_two_species(table, table.parent / "rivals", rules, sure=FINGER + tail[:17], led=FINGER + tail[:26])
    assert told == {"sure_ECOLI": "TF", "sure_HUMAN": "TF", "led_ECOLI": "nonTF"}


def test_the_teacher_says_what_prediction_says_by_all_its_evidence(demo_table, with_homology_folder, tmp_path):
    frame = pd.read_csv(demo_table, sep="\t", keep_default_na=False)
    records = [Record(f"p{i}", "", sequence[i % 7 + 1 :]) for i, sequence in enumerate(frame["sequence"][:300])]
    fasta, output = tmp_path / "unlabelled.fasta", tmp_path / "enriched.tsv"
    fasta.write_text("".join(f">{record.id}\n{record.sequence}\n" for record in records))
    rules = Rules(positive_probability=0.9, negative_probability=0.3)
    make_training_table(demo_table, output, str(with_homology_folder), rules, unlabelled=fasta)
    told = told_by_teacher(output)
    expected = {}
    for row in Predictor.load(with_homology_folder).predict(records):
        if row.probability >= 0.9 or row.probability <= 0.3:
            expected[row.id] = "TF" if row.probability >= 0.9 else "nonTF"
    assert told == expected
    assert 0 < list(told.values()).count("TF") < len(told) < len(records)


def test_a_teacher_without_profiles_or_of_other_classes_is_refused(table, teacher, small_bundle_folder, tmp_path):
    with pytest.raises(BundleError, match="the teacher has no profiles; add some with"):
        enrich(table, small_bundle_folder)
    save_bundle(replace(load_bundle(teacher), classes=("enzyme", "toxin")), tmp_path / "others", card="")
    with pytest.raises(TableError, match="row 2, column 'label': found 'TF'; expected one of enzyme, toxin"):
        enrich(table, tmp_path / "others")


def test_known_domains_and_families_bring_their_training_proteins(table, teacher):
    regions = table.parent / "regions.tsv"
    regions.write_text(
        f"domain\tstart\tend\tsplit\tsequence\nx\t3\t9\ttrain\t{PLAIN + FINGER}\nx\t20\t31\ttrain\t{PLAIN * 2}\n"
        f"y\t2\t5\ttrain\t{PLAIN * 2}\nx\t3\t9\ttest\t{PLAIN * 3}\n"
    )
    families = table.parent / "families.tsv"
    families.write_text(f"id\tlabel\tsplit\tsequence\na\tHLH\ttrain\t{PLAIN[2:]}\nb\tC2H2\ttest\t{PLAIN[4:]}\n")
    done, rows = enrich(table, teacher, domains=regions, families=families)
    assert rows["domains"]["finger"] == "3-9"
    assert rows.loc["domains:1", ["label", "domains", "split"]].tolist() == ["TF", "2-5;20-31", "train"]
    assert rows.loc["families:a", ["label", "family"]].tolist() == ["TF", "bHLH"]
    assert (done["of known domains"], done["of known families"]) == (1, 1)
    assert "families:b" not in rows.index


def test_known_families_without_splits_are_all_learned_from(table, teacher):
    families = table.parent / "families.tsv"
    families.write_text(f"id\tlabel\tsequence\na\tHLH\t{PLAIN[2:]}\nb\tC2H2\t{PLAIN[4:]}\n")
    _, rows = enrich(table, teacher, families=families)
    assert rows.loc[["families:a", "families:b"], "split"].tolist() == ["train", "train"]


def test_what_only_shares_a_name_shares_no_cluster(table, teacher, tmp_path):
    # `judge` is a cluster of the test split.
    families = tmp_path / "plants.tsv"
    families.write_text(f"id\tlabel\tsequence\njudge\tbHLH\t{PLAIN[15:]}\nb\tC2H2\t{PLAIN[25:]}\n")
    _, rows = enrich(table, teacher, families=families)
    assert rows.loc["families:judge", "cluster"] == "families:judge"
    families.write_text(f"id\tlabel\tcluster\tsequence\njudge\tbHLH\tfinger\t{PLAIN[15:]}\nb\tC2H2\tb\t{PLAIN[25:]}\n")
    _, rows = enrich(table, teacher, families=families)
    assert rows.loc["families:judge", "cluster"] == "finger"


def test_the_table_is_packed_where_its_name_says_so_and_has_no_other_ending(table, teacher, tmp_path):
    make_training_table(table, tmp_path / "out.tsv.gz", str(teacher), RULES, threads=1)
    make_training_table(table, tmp_path / "out.tsv", str(teacher), RULES, threads=1)
    assert gzip.decompress((tmp_path / "out.tsv.gz").read_bytes()) == (tmp_path / "out.tsv").read_bytes()
    with pytest.raises(TableError, match="out.csv: found a name ending in '.csv'; expected .tsv or .tsv.gz"):
        make_training_table(table, tmp_path / "out.csv", str(teacher), RULES, threads=1)


def test_known_domains_that_overlap_are_one_as_training_asks(table, teacher):
    regions = table.parent / "regions.tsv"
    places = "".join(f"x\t{start}\t{end}\t{PLAIN * 2}\n" for start, end in ((20, 31), (40, 50), (25, 28), (30, 35)))
    regions.write_text(f"domain\tstart\tend\tsequence\n{places}")
    _, rows = enrich(table, teacher, domains=regions)
    assert rows["domains"]["domains:0"] == "20-35;40-50"
    read_table(CorpusConfig.default(path=str(table.parent / "enriched.tsv")), ALPHABET, domains=True)


def test_the_enriched_table_can_be_learned_from(table, teacher):
    enrich(table, teacher)
    path = str(table.parent / "enriched.tsv")
    proteins = read_table(CorpusConfig.default(path=path), ALPHABET)
    known = read_annotations(proteins.frame, ("C2H2", "bHLH"), ALPHABET, path, domains=True)
    assert (known.families >= 0).sum() == 2
    assert known.domains[0] is not None
    assert known.domains[0].sum() >= len(FINGER) - 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("domain\tstart\tsequence\nx\t1\tMKV\n", "no column 'end'; expected the columns domain, start, end, sequence"),
        (
            "domain\tstart\tend\tsequence\nx\t2\t4\tMKV\n",
            "row 2, column 'start': found '2' to '4'; expected numbers from 1 to the sequence's 3, the start first",
        ),
        ("domain\tstart\tend\tsequence\nx\t1\t2\tMKV\nx\t0\t1\tMKV\n", "row 3, column 'start': found '0' to '1'"),
        ("domain\tstart\tend\tsequence\nx\ta\t2\tMKV\n", "row 2, column 'start': found 'a' to '2'"),
        ("domain\tstart\tend\tsequence\nx\t1\t2\tMK1V\n", "row 2, column 'sequence': found illegal '1' at 3"),
        (
            "domain\tstart\tend\tsequence\nx\t1\t2\tM-KV\n",
            "row 2, column 'sequence': found gaps, stops or small letters; expected capital residue letters alone",
        ),
    ],
    ids=["a column missing", "beyond the end", "before the start", "no number", "no letter", "a gap"],
)
def test_regions_that_cannot_be_are_named(tmp_path, text, said):
    path = tmp_path / "regions.tsv"
    path.write_text(text)
    with pytest.raises(TableError) as caught:
        read_regions(path)
    assert said in str(caught.value)


def test_a_table_whose_sequences_cannot_be_compared_is_refused(table, teacher, tmp_path):
    frame = pd.read_csv(table, sep="\t", keep_default_na=False)
    frame.loc[2, "sequence"] += "*"
    frame.to_csv(table, sep="\t", index=False)
    said = "row 4, column 'sequence': found gaps, stops or small letters; expected cap"
    with pytest.raises(TableError, match=said):
        enrich(table, teacher)
    with pytest.raises(TableError, match=said):
        profiles(table, tmp_path / "p.h3m.zst", None, tmp_path / "more.fasta")


def test_a_table_without_clusters_is_refused(table, tmp_path):
    frame = pd.read_csv(table, sep="\t", keep_default_na=False).drop(columns="cluster")
    frame.to_csv(table, sep="\t", index=False)
    with pytest.raises(TableError, match="no column 'cluster'; add it with `tfclass data cluster`"):
        build_profiles(table, tmp_path / "x")


def shipped_network():
    """The options of the network, as the recipe trains it."""
    with initialize_config_module("tfclass.conf", version_base="1.3"):
        path = [f"hydra.searchpath=[file://{RECIPE}]", "experiment=pretrained", "corpus.path=x.tsv"]
        return compose("train", path).model


def test_the_shipped_rules_name_the_families_that_the_network_learns():
    rules = read_rules()
    assert set(shipped_network().families) <= set(rules.families)
    assert rules.family_of("zf-C2H2_6") == "C2H2"


def test_the_shipped_rules_name_profiles_by_their_domain_or_family():
    rules = read_rules()
    assert rules.naming("zf-C2H2", "C2H2") == ("C2H2 zinc finger", "PF00096", None)
    assert rules.naming("cluster:Q6GE46", "NF-YC") == ("NF-Y histone fold", "PF00808", None)
    assert rules.naming("cluster:P0A9F3", "GRAS") == ("GRAS", "PF03514", None)
    assert rules.naming("cluster:P0A9F3", "Unheard of") == ("Unheard of", "", None)
    assert rules.naming("cluster:P0A9F3", "") == ("relatives of P0A9F3", "", None)
    # The members are of another family than the domain.
    assert rules.naming("MADF_DNA_bdg", "Trihelix") == ("MADF", "PF10545", "")
    # A cluster's profile of another part of the proteins has no accession.
    assert rules.naming("cluster:P0A9F3", "LexA") == ("LexA", "", None)
    assert set(rules.other_parts) <= {domain.name for domain in known_domains()}


def test_sparse_groups_are_the_kingdoms_and_species_that_the_rules_name():
    frame = pd.DataFrame({"kingdom": ["Bacteria", "Metazoa", ""]})
    rules = Rules(sparse=("Bacteria",), sparse_species=("*_SALTY*", "*OX=224308 *"))
    assert rules.is_sparse(frame).tolist() == [True, False, False]
    assert rules.is_sparse(frame[[]]).tolist() == [False] * 3
    headers = ["sp|P0A273|LEXA_SALTY LexA", "tr|X|X_YEAST a protein", "P1 OS=Bacillus subtilis OX=224308 PE=1"]
    assert [rules.is_of_sparse_species(header) for header in headers] == [True, False, True]


def test_profiles_take_unlabelled_proteins_of_the_species_that_the_rules_name(table, tmp_path, monkeypatch):
    (tmp_path / "rules.yaml").write_text("sparse: [Bacteria]\nsparse_species: ['*_SALTY*']")
    records = [("P1_SALTY", "MKWA"), ("P2_YEAST", "MKWC"), ("P3 a protein of X_SALTY", "mkwd*"), ("P4_SALTY", "MKWA")]
    records += [("known_SALTY", PLAIN[5:]), ("empty_SALTY", "")]
    (tmp_path / "more.fasta").write_text("".join(f">{header}\n{sequence}\n" for header, sequence in records))
    given = {}

    def build(*_, **options):
        given.update(options)
        return Library([Profile(build_profile("finger", ZINC_FINGERS), "finger", "", 15.0)])

    monkeypatch.setattr("pseudo_labels.build_profiles", build)
    profiles(table, tmp_path / "p.h3m.zst", None, tmp_path / "more.fasta", tmp_path / "rules.yaml")
    assert [ALPHABET.decode(tokens) for tokens in given["unlabelled"]] == ["MKWA", "MKWD"]
    frame = pd.read_csv(table, sep="\t")
    assert frame["id"][given["sparse"](frame)].tolist() == ["bacterium"]
    profiles(table, tmp_path / "p.h3m.zst", None, None, tmp_path / "rules.yaml")
    assert given["unlabelled"] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [("family_share: 2", "family_share: found 2; expected"), ("- a", "found"), ("[", "cannot be read")],
    ids=["a value", "a list", "no YAML"],
)
def test_rules_that_cannot_be_used_are_named(content, message, tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        read_rules(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def run(*arguments, cwd):
    command = [sys.executable, str(RECIPE / "pseudo_labels.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_the_script_labels_a_table(table, teacher, tmp_path):
    done = run("label", table, "--teacher", teacher, "-o", "training.tsv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("rows: ")
    assert "bacterium~3" in (tmp_path / "training.tsv").read_text()
    refused = run("label", table, "--teacher", teacher, "-o", "training.csv", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert refused.stderr.startswith("pseudo_labels.py: ")


def test_make_plans_the_whole_recipe(tmp_path):
    (tmp_path / "x.tsv").touch()
    arguments = ["-n", "pretrained", f"CORPUS={tmp_path}/x.tsv", "UNLABELLED=more.fasta", "VENV=none"]
    plan = subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [line for line in plan.replace("\\\n", " ").splitlines() if "x.tsv" in line or "tf-bilstm" in line]
    steps = [" ".join(line.split()[:3]).removeprefix("none/bin/") for line in lines]
    script = "python recipes/tf-bilstm/pseudo_labels.py"
    assert steps == [
        "tfclass train --config-dir",
        f"{script} profiles",
        "tfclass model attach",
        f"{script} label",
        "python recipes/tf-bilstm/prune_units.py models/pretrained/x/start",
        "tfclass train --config-dir",
        "tfclass model attach",
    ]
    assert "--unlabelled 'more.fasta'" in lines[1]
    assert "--unlabelled 'more.fasta'" in lines[3]
    assert "experiment=pretrained_start" in lines[0]
    assert "training.init_from=models/pretrained/x/pruned" in lines[5]
    assert f"--units {shipped_network().hidden} " in lines[4]


def test_the_recipe_starts_from_a_model_where_one_is_given(tmp_path):
    (tmp_path / "x.tsv").touch()
    arguments = ["-n", "pretrained", f"CORPUS={tmp_path}/x.tsv", "START=tf-bilstm", "VENV=none"]
    plan = subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "pretrained_start" not in plan
    assert "model attach 'tf-bilstm'" in plan
    assert "prune_units.py 'tf-bilstm'" in plan
    assert "training.init_from=models/pretrained/x/pruned" in plan
    assert "average_weights.py models/pretrained/x/pruned models/pretrained/x/network" in plan
    assert "model attach models/pretrained/x/mean" in plan
