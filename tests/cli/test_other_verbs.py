"""``tfclass data``, ``tfclass model`` and what is said before any verb."""

import csv
import shutil

import pandas as pd
import pytest

from tfclass.channels.domains import known_domains


def test_demo_writes_the_corpus_and_check_describes_it(tfclass, tmp_path):
    made = tfclass("data", "demo", "--clusters", 60, "-o", "a/b/demo.tsv")
    assert (made.status, made.out) == (0, "")
    again = tfclass("data", "demo", "--clusters", 60, "-o", "again.tsv")
    assert again.status == 0
    assert (tmp_path / "a" / "b" / "demo.tsv").read_bytes() == (tmp_path / "again.tsv").read_bytes()
    frame = pd.read_csv(tmp_path / "again.tsv", sep="\t")
    assert made.err.startswith(f"a/b/demo.tsv: {len(frame)} generated proteins, {(frame.label == 'TF').sum()} of them")
    checked = tfclass("data", "check", "again.tsv")
    assert checked.status == 0
    assert "sha256 " in checked.out
    assert checked.out.split().count("nonTF") == 3


def test_check_names_the_fault(tfclass, tmp_path):
    (tmp_path / "bad.tsv").write_text("id\tsequence\tlabel\na\tMKV\tTF\nb\tMK1\tnonTF\n")
    failed = tfclass("data", "check", "bad.tsv")
    assert failed.status == 2
    assert failed.err == (
        "tfclass: bad.tsv, row 3, column 'sequence': found illegal '1' at 3; expected residue letters\n"
    )


def test_verify_tells_a_whole_bundle_from_an_altered_one(tfclass, small_bundle_folder, tmp_path):
    whole = tfclass("model", "verify", small_bundle_folder)
    assert whole.status == 0
    assert ": whole (sha256 " in whole.out
    shown = tfclass("model", "show", small_bundle_folder)
    assert shown.out.startswith("# small")
    altered = tmp_path / "altered"
    shutil.copytree(small_bundle_folder, altered)
    weights = bytearray((altered / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (altered / "model.safetensors").write_bytes(weights)
    for verb in ("verify", "show"):
        refused = tfclass("model", verb, altered)
        assert refused.status == 2
        expected = "model.safetensors: checksum mismatch; restore the bundle"
        assert refused.err.strip().endswith(expected)


def test_export_copies_a_model_under_another_name_and_with_another_card(tfclass, small_bundle_folder, tmp_path):
    (tmp_path / "card.md").write_text("# Another card\n")
    done = tfclass("model", "export", small_bundle_folder, "copy", "--name", "copied", "--card", "card.md")
    assert done.status == 0
    assert tfclass("model", "show", "copy").out.startswith("# Another card")
    assert (tmp_path / "copy" / "MODEL_CARD.md").read_text().startswith("---\nlibrary_name: tfclass\n")
    weights = "model.safetensors"
    assert (tmp_path / "copy" / weights).read_bytes() == (small_bundle_folder / weights).read_bytes()
    assert '"name": "copied"' in (tmp_path / "copy" / "bundle.json").read_text()
    for name in ("a/b", "a b", "a\nb", "a;b"):
        refused = tfclass("model", "export", small_bundle_folder, "other", "--name", name)
        assert (refused.status, refused.err.count("\n")) == (2, 1)
        assert refused.err.startswith("tfclass model export: Invalid value for --name: a name has letters, digits")
    missing = tfclass("model", "export", small_bundle_folder, "other", "--card", "no.md")
    assert missing.status == 2
    assert missing.err.startswith("tfclass: no.md: the card cannot be read")
    assert not (tmp_path / "other").exists()


def test_show_lists_what_a_model_tells(tfclass, small_bundle_folder, with_profiles, with_profiles_folder):
    plain = tfclass("model", "show", small_bundle_folder).out
    assert plain == (
        "# small\n\n## What it tells\n\n| | |\n|---|---|\n"
        "| classes | nonTF, TF |\n| families | no |\n| DNA-binding domains | no |\n"
        "| channel network | threshold 0.5, the default |\n"
    )
    library = with_profiles.channels["profile"].library
    thresholds = {name: stacking.threshold for name, stacking in with_profiles.stacked.items()}
    everything = tfclass("model", "show", with_profiles_folder).out
    assert everything.endswith(
        "| families | 3 |\n| DNA-binding domains | yes |\n"
        "| channel network | threshold 0.5 |\n"
        f"| channel profile | threshold {thresholds['profile']}; {len(library.profiles)} profile hidden Markov models "
        f"of {library.states} states, made from the training split |\n"
        f"| channel combined | threshold {thresholds['combined']}, the default |\n"
    )


def test_show_lists_profiles_for_other_programs(tfclass, small_bundle_folder, with_profiles, with_profiles_folder):
    library = with_profiles.channels["profile"].library
    rows = list(
        csv.DictReader(tfclass("model", "show", with_profiles_folder, "--profiles").out.splitlines(), delimiter="\t")
    )
    assert [(row["name"], row["family"], float(row["threshold"])) for row in rows] == [
        (profile.name.replace("_", " "), profile.family, profile.threshold) for profile in library.profiles
    ]
    missing = tfclass("model", "show", small_bundle_folder, "--profiles")
    assert (missing.status, missing.out) == (2, "")
    assert missing.err == "tfclass: small: found no profiles; add some with `tfclass model attach`\n"


def test_the_shipped_profiles_of_known_domains_have_accessions_and_say_what_they_are(tfclass):
    rows = list(csv.DictReader(tfclass("model", "show", "tf-bilstm", "--profiles").out.splitlines(), delimiter="\t"))
    known = {(domain.pfam, domain.interpro, domain.description) for domain in known_domains()}
    for row in rows:
        assert row["meaning"]
        assert not row["pfam"] or (row["pfam"], row["interpro"], row["meaning"]) in known
        assert row["pfam"] if row["kind"] == "domain" else row["pfam"] or row["meaning"].startswith("What ")
    # One profile of a family holds its domain.
    of_family = [(row["pfam"], row["family"]) for row in rows if row["pfam"] and row["family"]]
    assert len(of_family) == len(set(of_family))


def test_profiles_are_exported_and_verified_with_the_rest(tfclass, with_profiles_folder, tmp_path):
    assert tfclass("model", "export", with_profiles_folder, "copy", "--name", "copied").status == 0
    name = "profiles.h3m.zst"
    assert (tmp_path / "copy" / name).read_bytes() == (with_profiles_folder / name).read_bytes()
    assert tfclass("model", "verify", "copy").status == 0
    content = bytearray((tmp_path / "copy" / name).read_bytes())
    content[-1] ^= 1
    (tmp_path / "copy" / name).write_bytes(content)
    for verb in ("verify", "show"):
        refused = tfclass("model", verb, "copy")
        assert (refused.status, refused.out) == (2, "")
        assert refused.err == ("tfclass: copy/profiles.h3m.zst: checksum mismatch; restore the bundle\n")


def test_version_and_usage(tfclass):
    assert tfclass("--version").out.startswith("tfclass 0.")
    unknown = tfclass("classify")
    assert (unknown.status, unknown.out) == (2, "")
    assert unknown.err.count("\n") == 1
    assert "No such command 'classify'" in unknown.err
    for group in ((), ("data",), ("model",)):
        bare = tfclass(*group)
        assert bare.status == 2
        assert "Usage:" in bare.err + bare.out


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("pre", {"predict"}),
        ("predict --cpu", {"--cpu-fallback"}),
        ("predict --precision ", {"float32", "bf16"}),
        ("data ", {"demo", "check", "fetch", "label", "import", "cluster", "split", "audit"}),
        ("predict pro", set()),
    ],
    ids=["a verb", "an option", "its values", "the verbs of a verb", "a file is for the shell to find"],
)
def test_a_shell_is_told_how_words_may_end(tfclass, words, offered):
    typed = {"COMP_WORDS": f"tfclass {words}", "COMP_CWORD": str(words.count(" ") + 1)}
    finished = tfclass(_TFCLASS_COMPLETE="complete_bash", **typed)
    assert (finished.status, set(finished.out.split())) == (0, offered)
