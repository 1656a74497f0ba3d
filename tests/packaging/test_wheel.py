"""What `pip install` gives: a wheel that is whole, and that works from any folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel's content, unpacked in a folder."""
    folder = tmp_path_factory.mktemp("wheel")
    # Built from what git tracks, as a release would be, and not in this folder, which it would litter.
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), "."]
    subprocess.run(command, cwd=folder / "source", check=True, capture_output=True)
    (built,) = folder.glob("tfclass-*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_every_module_configuration_and_shipped_model_is_in_the_wheel(wheel):
    for path in [
        *ROOT.glob("tfclass/**/*.py"),
        *ROOT.glob("tfclass/bundle/pretrained/[!_]*/*"),
        *ROOT.glob("tfclass/**/*.html"),
        *ROOT.glob("tfclass/**/*.css"),
        *ROOT.glob("tfclass/**/*.js"),
        ROOT / "tfclass/py.typed",
    ]:
        assert (wheel / path.relative_to(ROOT)).read_bytes() == path.read_bytes(), path
    for path in ROOT.glob("conf/**/*.yaml"):
        assert (wheel / "tfclass" / path.relative_to(ROOT)).is_file(), path


def test_nothing_else_is_in_the_wheel(wheel):
    top = {path.name for path in wheel.iterdir()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"tfclass"}
    assert not list(wheel.rglob("test_*"))


def test_the_installed_package_composes_its_configuration_and_predicts_from_any_folder(wheel, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(wheel), "OMP_NUM_THREADS": "1"}

    def run(*arguments):
        command = [
            sys.executable,
            "-c",
            "import tfclass; print(tfclass.__file__)\nfrom tfclass.cli.app import main; main()",
        ]
        return subprocess.run(
            [*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout

    shown = run("train", "--cfg", "job")
    assert shown.startswith(str(wheel))
    assert "max_residues: 16384" in shown
    predicted = run("predict", str(ROOT / "data" / "examples" / "proteins.fasta"), "-q")
    assert predicted.count("\tok\t") == 8
