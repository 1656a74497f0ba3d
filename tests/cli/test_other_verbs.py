"""``tfclass data``, ``tfclass model`` and what is said before any verb."""

import shutil

import pandas as pd


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
        expected = (
            "model.safetensors: found content that does not match its checksum; restore the bundle; it was altered"
        )
        assert refused.err.strip().endswith(expected)


def test_export_copies_a_model_under_another_name_and_with_another_card(tfclass, small_bundle_folder, tmp_path):
    (tmp_path / "card.md").write_text("# Another card\n")
    done = tfclass("model", "export", small_bundle_folder, "copy", "--name", "copied", "--card", "card.md")
    assert done.status == 0
    assert tfclass("model", "show", "copy").out.startswith("# Another card")
    weights = "model.safetensors"
    assert (tmp_path / "copy" / weights).read_bytes() == (small_bundle_folder / weights).read_bytes()
    assert '"name": "copied"' in (tmp_path / "copy" / "bundle.json").read_text()
    missing = tfclass("model", "export", small_bundle_folder, "other", "--card", "no.md")
    assert missing.status == 2
    assert missing.err.startswith("tfclass: no.md: found a card that cannot be read")
    assert not (tmp_path / "other").exists()


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
