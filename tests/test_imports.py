"""Libraries are imported only by the operations that need them."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import contextlib, json, os, sys
network, channels = sys.argv[1:]

def command(*words):
    from tfclass.cli.app import main
    sys.argv = ["tfclass", *words]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        with contextlib.suppress(SystemExit):
            main()

def encoded():
    from tfclass.inference.inputs import as_records
    list(as_records(["M", ("a", "K"), None]))

def loaded(model):
    from tfclass import Predictor
    Predictor.load(model)

def sized():
    from tfclass.models.factory import Alphabet, ModelConfig, check_size
    for name in ("learned", "one_hot", "physicochemical"):
        check_size(ModelConfig.default(embedding=name, layers=3), Alphabet(), 2)

def of_the_command():
    from tfclass.cli.predict import load
    load("tf-bilstm", "cpu", 1)

import tfclass
steps = {
    "importing tfclass": lambda: None,
    "reading sequences": encoded,
    "loading a network": lambda: loaded(network),
    "building a network": sized,
    "tfclass predict": lambda: command("predict", "in.fasta", "--model", network, "-o", "out.tsv"),
    "tfclass --help": lambda: command("--help"),
    "tfclass predict --help": lambda: command("predict", "--help"),
    "loading every channel": lambda: loaded(channels),
    "loading the shipped model": lambda: (loaded("tf-bilstm"), of_the_command()),
}
modules = {}
for step, run in steps.items():
    run()
    modules[step] = sorted(sys.modules)
json.dump(modules, sys.stdout)
"""
LIBRARIES = {"pandas", "sklearn", "pyarrow", "matplotlib", "mlflow", "hydra", "omegaconf", "jinja2"}
# By the steps above, in their order: what is not needed up to there.
UNNEEDED = {
    "importing tfclass": {*LIBRARIES, "torch", "Bio", "pyhmmer", "pyfamsa", "typer", "rich"},
    "reading sequences": {*LIBRARIES, "torch", "Bio", "pyhmmer", "pyfamsa", "typer", "rich"},
    "loading a network": {*LIBRARIES, "pyhmmer", "pyfamsa", "typer", "rich"},
    "tfclass predict": {*LIBRARIES, "pyhmmer", "pyfamsa", "rich"},
    "tfclass --help": {*LIBRARIES, "pyhmmer", "pyfamsa"},
    "tfclass predict --help": {*LIBRARIES, "pyhmmer", "pyfamsa"},
    "loading every channel": LIBRARIES,
    "loading the shipped model": LIBRARIES,
}


@pytest.fixture(scope="module")
def imported(small_bundle_folder, with_homology_folder, tmp_path_factory):
    """The modules of an interpreter after each step."""
    folder = tmp_path_factory.mktemp("imports")
    (folder / "in.fasta").write_text(">a\nMKVLAG\n")
    command = [sys.executable, "-c", SCRIPT, str(small_bundle_folder), str(with_homology_folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "out.tsv").read_text().count("\n") == 2
    return json.loads(done.stdout)


@pytest.mark.parametrize(("step", "unneeded"), UNNEEDED.items())
def test_it_is_done_without(step, unneeded, imported):
    packages = {name.split(".")[0] for name in imported[step]}
    assert packages & unneeded == set()
    own = ("tfclass.tracking", "tfclass.inference.summary")
    assert [name for name in imported[step] if name.startswith(own)] == []


def test_the_size_of_a_network_needs_no_further_imports_of_torch(imported):
    # Random values on torch's device "meta" would import some 800 modules.
    assert len(set(imported["building a network"]) - set(imported["loading a network"])) < 20
