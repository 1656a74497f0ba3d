"""Promises of SECURITY.md that no other test covers; the tests that it names exist."""

import ast
import json
import os
import re
import socket
import sys
from pathlib import Path

import pytest

from tfclass.cli.app import main
from tfclass.config import CorpusConfig, TrainConfig, to_mapping
from tfclass.errors import CheckpointError
from tfclass.pipelines.run_folder import RUN_FILE, resumed_config

ROOT = Path(__file__).parents[1]
CALL = {"_target_": "os.mkdir", "_args_": ["pwned"]}


def test_every_promise_names_a_test():
    rows = re.findall(r"^\|.*\|(.*)\|$", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.M)[2:]
    assert len(rows) > 20
    for row in rows:
        (name,) = re.findall(r"`(tests/\S+\.py)::(\w+)`", row)
        tree = ast.parse((ROOT / name[0]).read_text(encoding="utf-8"))
        assert name[1] in [each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)], row


def test_a_prediction_connects_to_nothing(with_profiles_folder, tmp_path, monkeypatch, capfd):
    def refuse(*_):
        raise AssertionError("a connection")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.fasta").write_text(">a\nMKVLAWWCHHCMKVLAGHWMKVLAGHW\n")
    for words in (("predict", "-o", "rows.tsv", "--summary", "page.html"), ("explain", "-o", "explained")):
        monkeypatch.setattr(
            sys, "argv", ["tfclass", words[0], "in.fasta", "--model", str(with_profiles_folder), *words[1:]]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, capfd.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["explained", "in.fasta", "page.html", "rows.tsv"]


@pytest.mark.parametrize("place", ["", "model", "model.stem", "training", "corpus.classes", "tracking.uri", "bundle"])
def test_no_value_of_a_configuration_is_called(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus = CorpusConfig.default(path="a.tsv")
    config = TrainConfig.default(name="a", network="bilstm", run_dir="run", corpus=corpus)
    values = changed = json.loads(json.dumps(to_mapping(config)))
    *keys, last = place.split(".")
    for key in keys:
        changed = changed[key]
    if isinstance(changed.get(last), dict):
        changed[last] |= CALL
    elif place:
        changed[last] = CALL
    else:
        changed |= CALL
    (tmp_path / RUN_FILE).write_text(json.dumps({"config": values}))
    with pytest.raises(CheckpointError, match=f"{RUN_FILE}, {place}.*: "):
        resumed_config(tmp_path)
    assert os.listdir(tmp_path) == [RUN_FILE]
