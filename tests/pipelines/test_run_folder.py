"""The folder of a run: moved, copied, and with records that were edited, damaged or made up."""

import json
import os
import shutil

import pytest

from tfclass.errors import CheckpointError
from tfclass.pipelines.run_folder import RUN_FILE, moved_config, read_record

QUICK = [
    *("training.epochs=1", "training.max_residues=2048", "model.hidden=6", "model.embedding_dim=8", "tracking=off"),
    *("model.stem.channels=8", "runtime.device=cpu", "runtime.threads=1"),
]


@pytest.fixture
def run(tfclass, demo_table, tmp_path):
    """A finished training in the folder ``run``, with its bundle where the options say."""

    def train(*options):
        trained = tfclass("train", f"corpus.path={demo_table}", *QUICK, "run_dir=run", *options)
        assert trained.status == 0, trained.err
        return tmp_path / "run"

    return train


def written(folder):
    """When each file of a bundle was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_what_lies_in_a_run_follows_it_when_it_is_moved(tfclass, run, tmp_path):
    run().rename(tmp_path / "run 2")
    resumed = tfclass("train", 'resume="run 2"')
    assert (resumed.status, resumed.err.splitlines()[-1]) == (0, "bundle: run 2/bundle")
    assert not (tmp_path / "run").exists()


def test_resuming_a_copy_leaves_the_original_alone(tfclass, run, tmp_path):
    original = run("bundle=run/models/mine")
    before = written(original / "models" / "mine")
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(original, tmp_path / "elsewhere" / "copy")
    resumed = tfclass("train", "resume=copy", cwd=tmp_path / "elsewhere")
    assert (resumed.status, resumed.err.splitlines()[-1]) == (0, "bundle: copy/models/mine")
    assert written(original / "models" / "mine") == before
    record = json.loads((tmp_path / "elsewhere" / "copy" / RUN_FILE).read_text())
    assert resumed.status == 0
    assert record["config"]["bundle"].endswith("models/mine")


def test_a_bundle_elsewhere_stays_where_it_was_asked_for(tfclass, run, tmp_path):
    run("bundle=model").rename(tmp_path / "run2")
    (tmp_path / "below").mkdir()
    before = written(tmp_path / "model")
    resumed = tfclass("train", "resume=../run2", cwd=tmp_path / "below")
    assert (resumed.status, resumed.err.splitlines()[-1]) == (0, f"bundle: {tmp_path / 'model'}")
    assert written(tmp_path / "model").keys() == before.keys()
    assert written(tmp_path / "model") != before
    assert not (tmp_path / "run2" / "bundle").exists()


def test_places_in_a_record_are_taken_along_only_from_inside(tmp_path):
    config = {"run_dir": "/a/run", "bundle": "/a/run/bundle", "corpus": {"path": "/a/run.tsv", "name": "x"}}
    assert moved_config(tmp_path, config) == {
        "run_dir": "/a/run",
        "bundle": str(tmp_path / "bundle"),
        "corpus": {"path": "/a/run.tsv", "name": "x"},
        "resume": str(tmp_path),
    }
    config["corpus"]["path"] = "/a/run/t.tsv"
    assert moved_config(tmp_path, config)["corpus"]["path"] == str(tmp_path / "t.tsv")


def sparse(path):
    with path.open("wb") as stream:
        stream.truncate(50 << 30)


UNREADABLE = {
    "nested a million times": lambda path: path.write_text("[" * 10**6),
    "nested in its configuration": lambda path: path.write_text('{"config": {"a": ' + "[" * 10**5 + "]" * 10**5 + "}}"),
    "random bytes": lambda path: path.write_bytes(os.urandom(3000)),
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_text('{"config": {"name"'),
    "another encoding": lambda path: path.write_text('{"config": {}}', encoding="utf-16"),
    "a list": lambda path: path.write_text("[]"),
    "a number": lambda path: path.write_text("3"),
    "null": lambda path: path.write_text("null"),
    "a number of 5,000 digits": lambda path: path.write_text('{"config": {}, "init_from": ' + "9" * 5000 + "}"),
    "no configuration": lambda path: path.write_text("{}"),
    "a list as configuration": lambda path: path.write_text('{"config": [["name", "x"]]}'),
    "text as configuration": lambda path: path.write_text('{"config": "study"}'),
    "text as init_from": lambda path: path.write_text('{"config": {}, "init_from": "x"}'),
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a sparse file of 50 GiB": sparse,
}


@pytest.mark.parametrize("make", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_record_that_cannot_be_read_is_named(make, tmp_path):
    make(tmp_path / RUN_FILE)
    with pytest.raises(CheckpointError) as raised:
        read_record(tmp_path)
    expected = f"{tmp_path}: found no readable run.json; choose another folder, or remove this one"
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "corpus: found no value; expected one to be given"),
        ({"corpus": "x"}, "corpus: found 'x'; expected "),
        ({"corpus": {"path": 3}}, "corpus.path: found 3; expected a valid string"),
        ({"corpus": {"path": "t.tsv"}, "training": {"epochs": "x"}}, "training.epochs: found 'x'; expected a valid"),
        ({"corpus": {"path": "t.tsv"}, "model": {"hidden": 10**30}}, "model.hidden: found 10"),
        ({"corpus": {"path": "t.tsv"}, "run_dir": "r", "bundle": [1]}, "bundle: found [1]; expected a valid string"),
        ({"corpus": {"path": "t.tsv"}, "run_dir": 3}, "run_dir: found 3; expected a valid string"),
        (
            {"corpus": {"path": "t.tsv"}, "run_dir": "r", "more": 1},
            "more: unknown option; did you mean model?",
        ),
    ],
    ids=str,
)
def test_a_configuration_that_was_edited_is_named_with_its_file(config, message, tfclass, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / RUN_FILE).write_text(json.dumps({"config": config}))
    refused = tfclass("train", "resume=run")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert refused.err.startswith(f"tfclass: run/run.json, {message}"), refused.err


def test_a_folder_whose_record_is_damaged_is_not_resumed(tfclass, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / RUN_FILE).write_text("[" * 10**5)
    refused = tfclass("train", "resume=run")
    assert (refused.status, refused.err) == (
        2,
        "tfclass: run: found no readable run.json; choose another folder, or remove this one\n",
    )


@pytest.mark.parametrize(
    "content", [b"no database" * 500, b"SQLite format 3\x00" + b"\xff" * 4080], ids=["text", "random"]
)
def test_a_study_that_is_no_database_is_named(content, tfclass, demo_table, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "study.db").write_bytes(content)
    refused = tfclass("sweep", f"corpus.path={demo_table}", "tracking=off", "run_dir=run")
    assert (refused.status, refused.err.count("\n")) == (2, 1), refused.err
    assert refused.err.startswith("tfclass: run/study.db: found no readable study ("), refused.err
