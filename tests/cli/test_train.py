"""``tfclass train`` and ``tfclass evaluate`` as a user runs them: overrides, errors, interruption, sweeps."""

import json
import os
import shlex
import shutil
import signal
import time

import mlflow
import pytest
import safetensors.torch
import torch

from tfclass.bundle.bundle import load_bundle

QUICK = [
    *("training.epochs=3", "training.max_residues=1024", "model.hidden=6", "model.embedding_dim=8"),
    *("model.stem.channels=8", "tracking=off", "runtime.device=cpu", "runtime.threads=1"),
]


@pytest.fixture
def corpus(demo_table):
    return f"corpus.path={demo_table}"


def weights(bundle):
    return safetensors.torch.load_file(bundle / "model.safetensors")


def wait_for(condition, process, seconds=60):
    for _ in range(20 * seconds):
        if condition() or process.poll() is not None:
            return
        time.sleep(0.05)
    raise TimeoutError("the training did not get there")


def test_train_then_evaluate_then_resume_nothing(tfclass, corpus, tmp_path):
    trained = tfclass("train", corpus, *QUICK, "bundle=model")
    assert (trained.status, trained.out) == (0, "")
    assert "validation: loss" in trained.err
    assert trained.err.endswith("bundle: model\n")
    quick = ("tracking=off", "evaluation.n_bootstrap=10", "evaluation.baselines=false")
    evaluated = tfclass("evaluate", corpus, "bundle=model", "report=report", *quick)
    assert evaluated.status == 0
    assert evaluated.err == "report: report/report.html\n"
    assert "average precision" in evaluated.out
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    assert f"{content['metrics']['mcc']['value']:.3f}".replace("-", "−") in evaluated.out
    # The evaluation's own empty run folder is not left lying about.
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["demo-bilstm"]


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGINT, id="Ctrl-C", marks=pytest.mark.slow), pytest.param(signal.SIGKILL, id="kill -9")],
)
def test_an_interrupted_training_resumes_to_the_same_weights(tfclass, start_tfclass, corpus, tmp_path, number):
    options = [corpus, *QUICK, "training.epochs=12", "training.checkpoint_minutes=0"]
    assert tfclass("train", *options, "bundle=whole").status == 0
    process = start_tfclass("train", *options, "hydra.run.dir=stopped")
    wait_for((tmp_path / "stopped" / "checkpoint.pt").exists, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        last = errors.decode().splitlines()[-1]
        assert last.startswith("tfclass: interrupted; go on with: tfclass train resume=")
        assert last.endswith("/stopped")
    assert not (tmp_path / "stopped" / "bundle").exists()
    resumed = tfclass("train", "resume=stopped")
    assert resumed.status == 0, resumed.err
    left, right = weights(tmp_path / "whole"), weights(tmp_path / "stopped" / "bundle")
    assert all(torch.equal(left[name], right[name]) for name in left)


WORDS = ["model=bilstm_skipgram", "model.kmer=2", "training.max_residues=1024", "model.hidden=6", "tracking=off"]


def test_minutes_hold_for_the_vectors_of_words_too_and_their_progress_is_shown(tfclass, corpus):
    trained = tfclass("train", corpus, *WORDS, "training.minutes=0.02", "runtime.threads=1", "bundle=model")
    assert trained.status == 0, trained.err
    lines = trained.err.splitlines()
    assert lines[0].startswith("k-mer vectors ")
    assert any(line.startswith("k-mer vectors 100%  ") for line in lines)
    seconds = [float(line.split()[-2]) for line in lines if line.startswith(("k-mer vectors 100%", "epoch"))]
    assert sum(seconds) <= 6


@pytest.mark.slow
def test_an_interruption_before_the_first_checkpoint_is_resumed_from_the_beginning(
    tfclass, start_tfclass, corpus, tmp_path
):
    options = [corpus, *WORDS, "training.epochs=1", "training.skipgram.pairs=500000"]
    assert tfclass("train", *options, "bundle=whole").status == 0
    process = start_tfclass("train", *options, "run_dir=stopped")
    wait_for((tmp_path / "stopped" / "run.json").exists, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert not (tmp_path / "stopped" / "checkpoint.pt").exists()
    resumed = tfclass("train", "resume=stopped")
    assert resumed.status == 0, resumed.err
    assert resumed.err.startswith("stopped: no checkpoint yet; training starts at the beginning\n")
    left, right = weights(tmp_path / "whole"), weights(tmp_path / "stopped" / "bundle")
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_an_empty_run_dir_is_one_line_and_writes_nothing(tfclass, corpus, tmp_path):
    refused = tfclass("train", corpus, *QUICK, "run_dir=")
    assert (refused.status, refused.err) == (2, "tfclass: run_dir: found ''; expected the name of a folder\n")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_null_character_in_a_path_of_run_json_is_one_line(tfclass, tmp_path):
    config = {"corpus": {"path": "a.tsv"}, "run_dir": "run", "bundle": "a\0b"}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"config": config}))
    refused = tfclass("train", "resume=run")
    assert (refused.status, refused.err) == (
        2,
        "tfclass: run/run.json, bundle: found 'a\\x00b'; expected a path without null characters; "
        "restore the file, or start anew\n",
    )


def test_a_folder_in_which_nothing_was_trained_is_named_with_how_to_start_anew(tfclass, tmp_path):
    (tmp_path / "ü 1").mkdir()
    nothing = tfclass("train", 'resume="ü 1"')
    assert (nothing.status, nothing.err) == (
        2,
        "tfclass: ü 1: found no run.json: nothing was trained there yet; "
        "start anew with tfclass train 'run_dir=\"ü 1\"' and the options of before\n",
    )


def test_for_the_parent_folder_of_runs_the_newest_one_is_named(tfclass, tmp_path):
    # The last one is damaged.
    contents = ['{"config": {}}'] * 3 + ["mine"]
    for time_s, (name, content) in enumerate(zip(["c", "a", "b", "d"], contents, strict=True)):
        path = tmp_path / "runs" / "demo-bilstm" / name / "run.json"
        path.parent.mkdir(parents=True)
        path.write_text(content)
        os.utime(path, (time_s, time_s))
    for folder in ("runs/demo-bilstm", "runs"):
        refused = tfclass("train", f"resume={folder}")
        assert (refused.status, refused.err) == (
            2,
            f"tfclass: {folder}: found no run.json: runs are below it; "
            "resume the newest one with tfclass train resume=runs/demo-bilstm/b\n",
        )


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system has no hang-up")
def test_a_hang_up_ends_a_training_as_a_request_to_stop_does(start_tfclass, corpus, tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path)
    options = [option for option in QUICK if option != "tracking=off"]
    many = ["training.epochs=200", "training.patience=200"]
    process = start_tfclass("train", corpus, *options, *many, "run_dir=stopped")
    wait_for((tmp_path / "stopped" / "checkpoint.pt").exists, process)
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.decode().splitlines()[-1]) == (
        130,
        "tfclass: interrupted; go on with: tfclass train resume=stopped",
    )
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("tfclass").experiment_id])  # type: ignore[union-attr]
    assert run.info.status == "KILLED"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system has no hang-up")
def test_what_nohup_started_goes_on_after_a_hang_up():
    from tfclass.cli.terminal import stop_at_once, stop_on_signal

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signal() as should_stop, stop_at_once(goes_on=False):
            os.kill(os.getpid(), signal.SIGHUP)
            assert not should_stop()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_resuming_takes_no_other_option_and_needs_a_run(tfclass, corpus, tmp_path):
    nothing = tfclass("train", "resume=nowhere")
    assert nothing.status == 2
    expected = "tfclass: nowhere: found no run.json; name the folder of an interrupted run\n"
    assert nothing.err == expected
    both = tfclass("train", "resume=nowhere", "training.epochs=3")
    assert both.status == 2
    assert both.err.startswith("tfclass: resume: found it together with training.epochs=3; expected no other option")


def test_a_sweep_trains_every_combination_under_one_parent_in_mlflow(tfclass, corpus, tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path)
    options = [option for option in QUICK if option != "tracking=off"]
    swept = tfclass("train", corpus, *options, "training.epochs=1", "model.pooling=max,mean", "-m")
    assert swept.status == 0, swept.err
    found = sorted(path.parent.name for path in (tmp_path / "runs" / "demo-sweep").rglob("bundle"))
    assert found == ["0", "1"]
    poolings = {
        json.loads(path.read_text())["model"]["pooling"] for path in (tmp_path / "runs").rglob("bundle/bundle.json")
    }
    assert poolings == {"max", "mean"}
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("tfclass").experiment_id])  # type: ignore[union-attr]
    by_name = {run.info.run_name: run for run in runs}
    assert set(by_name) == {"sweep demo", "pooling=max", "pooling=mean"}
    parent = by_name.pop("sweep demo")
    assert {run.data.tags["mlflow.parentRunId"] for run in by_name.values()} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    scores = client.get_metric_history(parent.info.run_id, "valid_ap")
    assert [m.value for m in scores] == [by_name[f"pooling={p}"].data.metrics["best_valid_ap"] for p in ("max", "mean")]


@pytest.mark.slow
def test_an_interrupted_multirun_goes_on_and_what_is_finished_stays(
    tfclass, start_tfclass, corpus, tmp_path, empty_store
):
    shutil.copy(empty_store, tmp_path)
    quick = [option for option in QUICK if not option.startswith(("tracking", "training.epochs"))]
    options = ["train", "-m", corpus, *quick, "training.epochs=8", "training.checkpoint_minutes=0", "model=gru,rnn"]
    options += ["hydra.sweep.subdir=${network}"]
    assert tfclass(*options, "tracking=off", "hydra.sweep.dir=whole").status == 0
    process = start_tfclass(*options, "hydra.sweep.dir=stopped")
    wait_for((tmp_path / "stopped" / "rnn" / "checkpoint.pt").exists, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.decode().splitlines()[-1]) == (
        130,
        "tfclass: interrupted; go on with: the same command and hydra.sweep.dir=stopped",
    )
    again = tfclass(*options, "hydra.sweep.dir=stopped")
    assert again.status == 0, again.err
    assert 0 < again.err.count("validation: loss") <= 8
    for network in ("gru", "rnn"):
        left, right = (weights(tmp_path / folder / network / "bundle") for folder in ("whole", "stopped"))
        assert all(torch.equal(left[name], right[name]) for name in left)
    other = tfclass(*options, "hydra.sweep.dir=stopped", "training.weight_decay=0.5", "tracking=off")
    assert (other.status, "found a checkpoint of another training" in other.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "network"),
    [
        pytest.param(["model=cnn", "model.stem.stacks=[[4]]", "model.head_hidden=0"], "cnn", marks=pytest.mark.slow),
        pytest.param(["model=bilstm_residues"], "bilstm_residues", marks=pytest.mark.slow),
        pytest.param(["model.encoder=gru"], "gru", marks=pytest.mark.slow),
        (["model.encoder=gru", "network=mine"], "mine"),
    ],
)
def test_a_network_is_called_as_its_configuration_file_is(options, network, tfclass, corpus, tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path)
    quick = [option for option in QUICK if option != "tracking=off"]
    trained = tfclass("train", corpus, *quick, "training.epochs=1", "tracking.register=", "bundle=model", *options)
    assert trained.status == 0, trained.err
    assert f"| network | `{network}`, " in (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert load_bundle(tmp_path / "model").network == network
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("tfclass").experiment_id])  # type: ignore[union-attr]
    assert run.data.tags["network"] == network
    # The description has the command of the training, for a shell.
    command = run.data.tags["mlflow.note.content"].split("```")[1].removeprefix("bash\n")
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:2] == ["tfclass", "train"]
    assert f"network={network}" in words
    again = tfclass(*words[1:], "tracking=off", "bundle=again")
    assert again.status == 0, again.err
    first, second = (load_bundle(tmp_path / name) for name in ("model", "again"))
    assert (first.config, first.network) == (second.config, second.network)
    assert all(torch.equal(first.model.state_dict()[n], w) for n, w in second.model.state_dict().items())


def test_a_search_trains_its_trials_and_names_the_best(tfclass, corpus, tmp_path):
    options = [option for option in QUICK if not option.startswith("training.epochs")]
    space = ["~study.space.model", "~study.space.training.weight_decay", "~study.space.training.residue_dropout"]
    search = ["sweep", corpus, *options, "training.epochs=1", "study.n_trials=2", *space, "run_dir=found"]
    found = tfclass(*search)
    assert found.status == 0, found.err
    table = (tmp_path / "found" / "trials.tsv").read_text().splitlines()
    assert table[0] == "trial\tstate\tvalid_ap\tepochs\ttraining.learning_rate"
    assert [line.split("\t")[1] for line in table[1:]] == ["complete", "complete"]
    *_, last = found.err.splitlines()
    assert last.startswith(f"to train with the best: tfclass train {corpus} ")
    command = shlex.split(last.removeprefix("to train with the best: "))
    assert command[2:-1] == [corpus, *options, "training.epochs=1"]
    assert command[-1].startswith("training.learning_rate=0.00")
    trained = tfclass(*command[1:], "bundle=best")
    assert trained.status == 0, trained.err
    again = tfclass(*search)
    assert (again.status, "epoch   1" in again.err, again.out) == (0, False, found.out)


def test_a_run_that_mlflow_lacks_is_logged_from_its_folder_once(tfclass, corpus, tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path)
    nothing = tfclass("track", tmp_path)
    found = "no tracking.json in it; name the folder of a training, a report or a comparison"
    assert (nothing.status, nothing.err) == (2, f"tfclass: {tmp_path}: {found}\n")
    trained = tfclass("train", corpus, *QUICK, "training.epochs=1", "run_dir=run")
    assert trained.status == 0, trained.err
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert client.get_experiment_by_name("tfclass") is None
    (tmp_path / "run").rename(tmp_path / "moved")
    first, second = (tfclass("track", "moved") for _ in range(2))
    (run,) = client.search_runs([client.get_experiment_by_name("tfclass").experiment_id])  # type: ignore[union-attr]
    assert first.err.splitlines()[0] == f"moved: logged to MLflow run {run.info.run_id}"
    assert first.err.splitlines()[1].startswith("registered: tfclass version 1, champion: the first")
    assert second.err == f"moved: nothing that is not in MLflow run {run.info.run_id}\n"
    history = client.get_metric_history(run.info.run_id, "epoch/valid_ap")
    assert [(metric.step, metric.value) for metric in history] == [(1, run.data.metrics["best_valid_ap"])]
    assert run.info.status == "FINISHED"


def test_the_configuration_can_be_seen_without_training(tfclass, tmp_path):
    shown = tfclass("train", "--cfg", "job", "model=bilstm_residues", "training.epochs=7")
    assert shown.status == 0
    assert "epochs: 7" in shown.out
    assert "stem:\n    name: none" in shown.out
    assert list(tmp_path.iterdir()) == []


KEYS = "epochs, minutes, max_residues, learning_rate, warmup_epochs, weight_decay, clip_norm, class_weight"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "training.lr=1"], f"training.lr: unknown option; expected one of {KEYS}"),
        (["train", "+corpus.curation={}"], "corpus.curation: unknown option; expected one of path, name"),
        (["train", "+training.lr=1"], f"training.lr: unknown option; expected one of {KEYS}"),
        (["train", "model=lstn"], "model: found 'lstn'; expected one of bilstm, bilstm_residues, bilstm_skipgram, cnn"),
        (["train", "training.epochs=0"], "training.epochs: found 0; expected greater than or equal to 1"),
        (["train", "training.clip_norm=nan"], "training.clip_norm: found nan; expected "),
        (["train", "model.pooling=sum"], "model.pooling: found 'sum'; expected one of attention, last, max, mean"),
        (["train", "corpus=table"], "corpus.path: found no value; expected one to be given; add corpus.path=VALUE"),
        (["train", "corpus.path=no.tsv"], "no.tsv: no such file; check the path"),
        (["train", "training.epochs=["], "training.epochs: found '['; expected a valid integer"),
        (
            ["train", "tracking.uri=file:./mlruns"],
            "tracking.uri: 'file:./mlruns' is neither a database nor a server",
        ),
        (["evaluate"], "bundle: found no value; expected one to be given; add bundle=VALUE"),
        (["evaluate", "bundle=nowhere"], "nowhere: found no such model; expected a folder with a bundle"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_what_is_wrong_is_said_on_one_line_and_nothing_is_left(tfclass, tmp_path, demo_table, arguments, message):
    if not any(a.startswith(("corpus", "model=")) for a in arguments):
        arguments = [*arguments, f"corpus.path={demo_table}"]
    failed = tfclass(*arguments)
    assert failed.status == 2
    assert failed.err.startswith(f"tfclass: {message}"), failed.err
    assert failed.err.count("\n") == 1
    assert failed.out == ""
    assert not list(tmp_path.rglob("*.pt"))
    assert not list(tmp_path.rglob("bundle*"))


def test_a_traceback_is_shown_on_request_only(tfclass):
    assert "Traceback" in tfclass("--debug", "train", "corpus.path=no.tsv").err
