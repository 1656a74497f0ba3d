"""What many tests share: a small corpus, a small bundle, the command line run as a user runs it."""

import atexit
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import settings

from tfclass.bundle.bundle import Bundle
from tfclass.bundle.save import save_bundle
from tfclass.bundle.scorer import Scorer
from tfclass.channels import homology
from tfclass.channels.align_profiles import build_profile
from tfclass.channels.calibration import Calibration
from tfclass.channels.homology import HomologyChannel
from tfclass.channels.profile import ProfileChannel
from tfclass.channels.stacking import fit_stackings
from tfclass.cli.app import main
from tfclass.config import CorpusConfig, ModelConfig, StemConfig, TrackingConfig
from tfclass.data.demo import generate_demo
from tfclass.data.table import read_table
from tfclass.models.factory import build
from tfclass.models.forward import scores_of
from tfclass.search.hmmer import Library, Profile
from tfclass.sequences.alphabet import Alphabet
from tfclass.tracking.log import tracked
from tfclass.tracking.record import Facts

# A busy machine is no failure. Every run tries the same examples; `--hypothesis-profile random` searches for others.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile("repeatable")

# A search by k-mers takes four seconds, however few the proteins are. tests/channels/test_homology.py has such.
homology._EVERY_PAIR = True

# A network small enough to train in a test, with every part of the real one.
SMALL = ModelConfig.default(
    embedding_dim=8, stem=StemConfig.default(channels=12, kernel=5, pool=2), hidden=6, dropout=0.1
)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    # Two busy thread pools on two cores wait for each other; tests are small anyway.
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_and_hang_up_work():
    # A shell starts what runs in its background with SIGINT ignored, and `nohup` with SIGHUP; every program that a test
    # starts inherits what is ignored, but not what is handled. The tests themselves go on after a hang-up.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.fixture(autouse=True)
def _working_folder_stays():
    # In another one a forked command would not find what it is to import, and import it anew: four times as slow.
    before = os.getcwd()
    yield
    assert os.getcwd() == before


@pytest.fixture(autouse=True)
def _mlflow_forgets():
    # What a test tells MLflow is its process's, and would be there for the next test.
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)


@pytest.fixture
def folder(tmp_path, monkeypatch, empty_store):
    """A working folder with nothing in it but MLflow's records, which are empty."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """An MLflow store with its tables, which take seconds to make, and nothing in them."""
    import mlflow

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def alphabet():
    return Alphabet()


@pytest.fixture(scope="session")
def demo_table(tmp_path_factory):
    """A few hundred generated proteins in a TSV file."""
    path = tmp_path_factory.mktemp("corpus") / "demo.tsv"
    generate_demo(n_clusters=150, seed=1).to_csv(path, sep="\t", index=False)
    return path


@pytest.fixture(scope="session")
def small_bundle(alphabet):
    """An untrained binary bundle, not saved."""
    torch.manual_seed(0)
    model = build(SMALL, alphabet, n_classes=2).eval()
    return bundle_of("small", model, SMALL, Calibration(1.5, (0.0, 0.0)))


def bundle_of(name, model, config, calibration, classes=("nonTF", "TF"), threshold=0.5):
    """A bundle of a network alone."""
    return Bundle(
        name=name,
        classes=classes,
        letters=Alphabet().letters,
        config=config,
        calibration=calibration,
        threshold=threshold,
        model=model,
    )


@pytest.fixture(scope="session")
def demo_proteins(demo_table):
    """The proteins of the demo corpus."""
    return read_table(CorpusConfig.default(path=str(demo_table)), Alphabet())


@pytest.fixture(scope="session")
def small_bundle_folder(small_bundle, tmp_path_factory):
    """The same, saved; not to be changed by a test."""
    folder = tmp_path_factory.mktemp("bundles") / "small"
    save_bundle(replace(small_bundle), folder, card="# small\n")
    return folder


@pytest.fixture(scope="session")
def library(demo_table):
    """A profile of each family of the demo corpus, from where its training proteins have the family's domain."""
    return library_of(demo_table)


def library_of(demo_table):
    frame = pd.read_csv(demo_table, sep="\t", keep_default_na=False)
    known = frame[(frame["split"] == "train") & (frame["label"] == "TF")]
    profiles = []
    for family, proteins in known.groupby("family"):
        places = zip(proteins["sequence"], proteins["domain_start"], proteins["domain_end"], strict=True)
        domains = [sequence[int(start) - 1 : int(end)] for sequence, start, end in places]
        profiles.append(Profile(build_profile(f"demo {family}", domains[:40]), f"demo {family}", str(family), 20.0))
    return Library(profiles)


@pytest.fixture(scope="session")
def with_profiles(demo_proteins, library):
    """An untrained bundle with heads and profiles, stacked on the demo corpus; not saved."""
    return profiled(demo_proteins, library)


def profiled(demo_proteins, library):
    alphabet = Alphabet()
    tokens, positive_N = demo_proteins.tokens, demo_proteins.is_positive
    config = replace(SMALL, families=("bHLH", "bZIP", "Zinc cluster/other"), domains=True)
    torch.manual_seed(0)
    model = build(config, alphabet, n_classes=2).eval()
    scores = scores_of(model, tokens, 20_000)
    with torch.no_grad():
        # Untrained heads say the same of everything; now they differ from protein to protein, and along each.
        model.domain_head.bias -= float(np.median(np.concatenate(scores.domains)))
        model.family_head.bias -= torch.tensor(scores.family_NK.mean(axis=0))
        model.head.bias -= torch.tensor(np.median(scores.logits_NC, axis=0))
    plain = bundle_of("with_profiles", model, config, Calibration(0.05, (0.0, 0.0)))
    calibration = replace(plain.calibration, prevalence=float(positive_N.mean()))
    with_profiles = stacked(plain, {"profile": ProfileChannel(library, alphabet)}, demo_proteins, demo_proteins)
    return replace(with_profiles, calibration=calibration)


def stacked(bundle, channels, proteins, described):
    """The bundle with other channels, stacked on these proteins; groups are told apart by what is described."""
    used = Scorer(bundle, "network").channels | channels
    scores = {name: channel.score(proteins.tokens) for name, channel in used.items()}
    grouped = {name: channel for name, channel in channels.items() if channel.n_groups}
    terms = {name: each.group_terms(each.score(described.tokens), described) for name, each in grouped.items()}
    return replace(bundle, channels=channels, stacked=fit_stackings(used, scores, proteins.is_positive, terms))


@pytest.fixture(scope="session")
def with_profiles_folder(with_profiles, tmp_path_factory):
    """The same, saved; not to be changed by a test."""
    folder = tmp_path_factory.mktemp("bundles") / "with_profiles"
    save_bundle(with_profiles, folder, card="# with_profiles\n")
    return folder


@pytest.fixture(scope="session")
def with_homology(with_profiles, demo_proteins):
    """The same with a reference, the training split of the demo corpus, stacked on valid; not saved."""
    return referenced(with_profiles, demo_proteins)


def referenced(with_profiles, demo_proteins):
    split = demo_proteins.frame["split"].to_numpy()
    train, valid = (demo_proteins.select(split == name) for name in ("train", "valid"))
    channels = {**with_profiles.channels, "homology": HomologyChannel.from_training(train, Alphabet(), None, "demo")}
    return stacked(replace(with_profiles, name="with_homology"), channels, valid, valid)


@pytest.fixture(scope="session")
def with_homology_folder(with_homology, tmp_path_factory):
    """The same, saved; not to be changed by a test."""
    folder = tmp_path_factory.mktemp("bundles") / "with_homology"
    save_bundle(with_homology, folder, card="# with_homology\n")
    return folder


def log_bundle(uri, folder, bundle_folder):
    """Log a bundle to a store, as a run with its record in `folder`; return the run's id and the logged model."""
    import mlflow

    facts = Facts(bundle=str(bundle_folder))
    with tracked(TrackingConfig.default(uri=uri), folder, "a run", facts) as run:
        run_id = run.run_id
    client = mlflow.MlflowClient(uri)
    [model] = client.search_logged_models([client.get_run(run_id).info.experiment_id])
    return run_id, model


class Finished:
    """What a command left: its status and what it wrote."""

    def __init__(self, status: int | None, out: bytes, err: bytes) -> None:
        self.status = status
        self.out = out.decode("utf-8", "surrogateescape")
        self.err = err.decode("utf-8", "surrogateescape")


@pytest.fixture(scope="session")
def processes():
    """Processes forked from one that has done the imports, which are most of the time that a command takes."""
    context = multiprocessing.get_context("forkserver")
    verbs = [f"tfclass.cli.{verb}" for verb in ("composition", "console", "data", "model", "predict", "train")]
    parts = ["inference.predictor", "pipelines.attach", "pipelines.evaluate", "pipelines.sweep", "tracking.log"]
    # The first optimizer of a process imports torch._dynamo.
    others = ["torch._dynamo", "matplotlib.figure", "mlflow.store.tracking.sqlalchemy_store"]
    modules = [*(f"tfclass.{part}" for part in parts), *others]
    context.set_forkserver_preload([__name__, *verbs, *modules])
    # Now, since it imports from the working folder, which a test may change.
    forkserver.ensure_running()
    return context


class Running:
    """A command at work in a process of its own, used as a ``subprocess.Popen`` is."""

    def __init__(self, process, out: Path, err: Path) -> None:
        self._process, self._out, self._err = process, out, err
        self.pid: int = process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 300) -> tuple[bytes, bytes]:
        """Wait for its end, which comes by force after that time; return what it wrote."""
        self._process.join(timeout)
        self.kill()
        self._process.join()
        return self._out.read_bytes(), self._err.read_bytes()


@pytest.fixture
def start_tfclass(tmp_path, processes, tmp_path_factory):
    """Start ``tfclass`` in a process of its own, in an empty folder, and do not wait for its end.

    It is forked, so it is at work at once, where a new interpreter would import for seconds. The standard streams
    may be descriptors of files; without, nothing comes in, and what goes out can be read at the end. A function of a
    module may be called in the process first.
    """
    started = []

    def start(
        *arguments: object,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        first: Callable[[], object] | None = None,
        cwd: Path = tmp_path,
        **environment: str,
    ) -> Running:
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment}
        variables.pop("MLFLOW_TRACKING_URI", None)
        given, out, err = paths = [tmp_path_factory.mktemp("streams") / name for name in ("in", "out", "err")]
        for path in paths:
            path.touch()
        with given.open("rb") as no_input, out.open("wb") as output, err.open("wb") as errors:
            files, asked = (no_input, output, errors), (stdin, stdout, stderr)
            chosen = [file.fileno() if each is None else each for file, each in zip(files, asked, strict=True)]
            # A connection hands its descriptor on to another process.
            streams = [Connection(os.dup(descriptor)) for descriptor in chosen]
        process = processes.Process(target=_command, args=([*map(str, arguments)], streams, cwd, variables, first))
        process.start()
        for stream in streams:
            stream.close()
        started.append(Running(process, out, err))
        return started[-1]

    yield start
    for running in started:
        running.kill()


def _command(
    arguments: list[str],
    streams: list[Connection],
    cwd: Path,
    variables: dict[str, str],
    first: Callable[[], object] | None,
) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    # As an interpreter makes them: those of the process that this one was forked from are of other kinds of files.
    sys.stdin, sys.stdout = open(0), open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["tfclass", *arguments]
    torch.set_num_threads(1)
    # What is to be called at the end of the process that this one was forked from.
    atexit._clear()
    if first:
        first()
    try:
        main()
    finally:
        atexit._run_exitfuncs()


@pytest.fixture
def tfclass(start_tfclass, tmp_path_factory):
    """Run ``tfclass`` in a process of its own, in an empty folder."""

    def run(*arguments: object, stdin: bytes = b"", **options: Any) -> Finished:
        path = tmp_path_factory.mktemp("streams") / "in"
        path.write_bytes(stdin)
        with path.open("rb") as stream:
            running = start_tfclass(*arguments, stdin=stream.fileno(), **options)
        out, err = running.communicate()
        return Finished(running.returncode, out, err)

    return run
