"""Bundles that hold profiles: the same on every way, and refused in one line when anything is amiss."""

import hashlib
import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pyhmmer
import pytest

from tests.bundle.test_bundle import change, check_refused, flip
from tfclass.bundle.bundle import find_bundle, load_bundle
from tfclass.bundle.description import SCHEMA_VERSION
from tfclass.bundle.save import save_bundle
from tfclass.bundle.scorer import Scorer
from tfclass.channels.homology import HomologyChannel
from tfclass.channels.profile import ProfileChannel
from tfclass.errors import BundleError
from tfclass.io.reading import compressed, decompressed
from tfclass.models.factory import build

PROFILES, REFERENCE = ProfileChannel.file, HomologyChannel.file
FILES = ["MODEL_CARD.md", "bundle.json", "model.safetensors", "profiles.h3m.zst"]


@pytest.fixture
def folder(with_profiles_folder, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(with_profiles_folder, tmp_path / "copy")


@pytest.fixture
def everything(with_homology_folder, tmp_path):
    """A copy of one with every channel."""
    return shutil.copytree(with_homology_folder, tmp_path / "everything")


def described(folder):
    return json.loads((folder / "bundle.json").read_text())


def test_it_has_four_files_and_comes_back_as_it_was(with_profiles, with_profiles_folder, alphabet):
    assert sorted(path.name for path in with_profiles_folder.iterdir()) == FILES
    loaded = load_bundle(with_profiles_folder)
    assert loaded.stacked == with_profiles.stacked
    assert loaded.config.families == ("bHLH", "bZIP", "Zinc cluster/other")
    ours, theirs = (bundle.channels["profile"].library.profiles for bundle in (loaded, with_profiles))
    assert [(p.name, p.family, p.threshold) for p in ours] == [(p.name, p.family, p.threshold) for p in theirs]
    tokens = [alphabet.encode(s) for s in ("MKVLAWWCHHC", "YKCPECGKSFSRSDHLARHIRTHTGEKPYKCPECGKSFSRSDHLARHIRTH")]
    for channel in ("network", "profile", "combined"):
        before, after = (Scorer(bundle, channel).score(tokens) for bundle in (with_profiles, loaded))
        np.testing.assert_array_equal(after.probability_NC, before.probability_NC)


def test_saving_what_was_loaded_writes_the_same_bytes(with_profiles_folder, tmp_path):
    save_bundle(load_bundle(with_profiles_folder), tmp_path / "again", "# with_profiles\n")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (with_profiles_folder / name).read_bytes(), name


def test_hmmer_itself_can_use_the_profiles(with_profiles_folder):
    with (with_profiles_folder / PROFILES).open("rb") as stream, pyhmmer.plan7.HMMFile(decompressed(stream)) as hmms:
        found = {hmm.name: (hmm.description, hmm.cutoffs.gathering) for hmm in hmms}
    assert found["demo bZIP"] == ("bZIP", (20.0, 20.0))


def test_a_bundle_without_profiles_replaces_one_with_them_whole(small_bundle, folder):
    save_bundle(small_bundle, folder, "# small\n")
    assert not (folder / PROFILES).exists()
    assert (load_bundle(folder).channels, load_bundle(folder).stacked) == ({}, {})


class TestSchema:
    def test_every_bundle_has_the_same_schema(self, folder, small_bundle_folder):
        assert described(folder)["schema_version"] == described(small_bundle_folder)["schema_version"] == SCHEMA_VERSION

    def test_a_bundle_of_an_older_schema_is_refused(self, folder):
        change(folder, schema_version=SCHEMA_VERSION - 1)
        expected = f"found schema version {SCHEMA_VERSION - 1}; expected {SCHEMA_VERSION}; train the model again"
        assert check_refused(folder, "bundle.json").endswith(expected)

    def test_the_shipped_bundle_loads(self):
        assert load_bundle(find_bundle("tf-bilstm")).classes == ("nonTF", "TF")


class TestDamage:
    @pytest.mark.parametrize("name", FILES)
    def test_a_flipped_bit_is_refused_in(self, name, folder):
        path = folder / name
        original = path.read_bytes()
        for position in {*range(0, len(original), max(1, len(original) // 60)), len(original) - 1}:
            flip(path, original, position, 0x04)
            check_refused(folder, name)

    def test_a_missing_file_is_named(self, folder):
        (folder / PROFILES).unlink()
        assert check_refused(folder, PROFILES).endswith("no such file; restore the bundle")

    @pytest.mark.parametrize(
        "harm",
        [
            lambda _: b"",
            lambda content: content[: len(content) // 2],
            lambda content: content[:-1],
            lambda _: compressed(b""),
            lambda _: compressed(b">a\nMKV\n"),
            lambda _: compressed(bytes(range(256)) * 40),
            lambda content: b"\x28\xb5\x2f\xfd" + content[:40],
            lambda _: b"HMMER3/f [3.4 | Aug 2023]\nNAME  x\nLENG  99\n",
        ],
        ids=["an empty file", "half", "one byte less", "nothing, packed", "FASTA", "noise", "a broken frame"]
        + ["a header alone"],
    )
    def test_other_profiles_with_recomputed_checksums_are_refused(self, harm, folder):
        content = harm((folder / PROFILES).read_bytes())
        (folder / PROFILES).write_bytes(content)
        change(folder, files=described(folder)["files"] | {PROFILES: hashlib.sha256(content).hexdigest()})
        check_refused(folder, PROFILES)

    def test_profiles_that_do_not_say_from_which_score_they_are_believed_are_refused(self, folder, library):
        hmm = library.profiles[0].hmm.copy()
        hmm.cutoffs.gathering = None
        with (folder / PROFILES).open("wb") as stream:
            hmm.write(stream, binary=True)
        content = (folder / PROFILES).read_bytes()
        change(folder, files=described(folder)["files"] | {PROFILES: hashlib.sha256(content).hexdigest()})
        assert "found no gathering threshold; expected a line GA" in check_refused(folder, PROFILES)


class TestParts:
    @pytest.mark.parametrize("name", [PROFILES, REFERENCE])
    def test_a_regression_without_its_channel_is_refused(self, name, everything):
        channel = {PROFILES: "profile", REFERENCE: "homology"}[name]
        files = described(everything)["files"]
        change(everything, files={key: files[key] for key in files if key != name})
        expected = f"found stacked.{channel} without a channel; expected a checksum of {name}"
        assert check_refused(everything, "bundle.json").endswith(expected)

    def test_a_regression_of_channels_that_are_not_there_is_refused(self, everything):
        description = described(everything)
        files = {name: description["files"][name] for name in FILES[:3] if name != "bundle.json"}
        change(everything, files=files, stacked={"combined": description["stacked"]["combined"]})
        message = check_refused(everything, "bundle.json")
        assert "found stacked.combined without a channel; expected a checksum of" in message
        assert message.endswith(f"{PROFILES} or {REFERENCE}")

    @pytest.mark.parametrize(("name", "channel"), [(PROFILES, "profile"), (REFERENCE, "homology")])
    def test_a_channel_that_is_not_stacked_is_refused(self, name, channel, everything):
        stacked = described(everything)["stacked"]
        others = {each: stacked[each] for each in ("profile", "homology") if each != channel}
        for left in (others, others | {"combined": stacked["combined"]}):
            change(everything, stacked=left)
            if "combined" in left:
                assert set(load_bundle(everything).stacked) == set(left)
            else:
                message = check_refused(everything, "bundle.json")
                assert message.endswith(f"found {name}, and nothing stacked that uses it")

    def test_weights_for_other_channels_are_refused(self, folder, everything):
        ours, theirs = (described(path)["stacked"] for path in (folder, everything))
        change(folder, stacked=ours | {"combined": theirs["combined"]})
        assert check_refused(folder, "bundle.json").endswith("found 11 weights in stacked.combined; expected 6")
        change(everything, stacked=theirs | {"combined": ours["combined"]})
        assert check_refused(everything, "bundle.json").endswith("found 6 weights in stacked.combined; expected 11")

    @pytest.mark.parametrize(
        ("change_of", "message"),
        [
            (lambda c: {"profile": c["combined"]}, "6 weights in stacked.profile; expected 4"),
            (lambda c: {"network": c["profile"]}, "stacked.network"),
            (
                lambda c: {"profile": c["profile"] | {"weights": [1.0]}},
                "1 weights in stacked.profile; expected 4",
            ),
            (
                lambda c: {"profile": c["profile"] | {"offsets": [1.0]}},
                "1 offsets in stacked.profile; expected 6, or none",
            ),
            (lambda c: {"profile": c["profile"] | {"threshold": 2.0}}, "stacked.profile.threshold"),
            (lambda c: {"profile": c["profile"] | {"code": "os"}}, "stacked.profile.code"),
            (lambda c: [c["profile"]], "stacked"),
        ],
        ids=[
            "a name of the other",
            "another name",
            "few weights",
            "few offsets",
            "a threshold of 2",
            "another key",
            "a list",
        ],
    )
    def test_regressions_are_refused_with(self, change_of, message, folder):
        change(folder, stacked=change_of(described(folder)["stacked"]))
        assert message in check_refused(folder, "bundle.json")

    def test_one_regression_is_enough(self, folder):
        change(folder, stacked={"profile": described(folder)["stacked"]["profile"]})
        assert set(load_bundle(folder).stacked) == {"profile"}

    def test_profiles_are_for_two_classes(self, folder, with_profiles, tmp_path, alphabet):
        calibration = asdict(with_profiles.calibration) | {"log_weight_C": [0.0, 0.0, 0.0], "prevalence": None}
        change(folder, classes=["nonTF", "bHLH", "bZIP"], calibration=calibration, threshold=None)
        assert check_refused(folder, "bundle.json").endswith("found profiles.h3m.zst for 3 classes; expected two")
        model = build(with_profiles.config, alphabet, n_classes=3)
        with pytest.raises(BundleError, match="with_profiles: found profiles.h3m.zst for 3 classes; expected two"):
            save_bundle(replace(with_profiles, classes=("a", "b", "c"), model=model), tmp_path / "b", "card")

    @pytest.mark.parametrize("values", [{"channels": {}}, {"stacked": {}}], ids=["channels", "stacked"])
    def test_what_could_not_be_loaded_is_not_saved_without(self, values, with_profiles, tmp_path):
        with pytest.raises(BundleError, match="nothing stacked that uses it|without a channel"):
            save_bundle(replace(with_profiles, **values), tmp_path / "b", "card")
        assert list(tmp_path.iterdir()) == []
