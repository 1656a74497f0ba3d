"""The source distribution contains every tracked file; the installed wheel works from any folder."""

import os
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What only the forge reads.
FORGE = (".ci", ".github")


def sources():
    """Return the tracked files, or in an unpacked source distribution the files listed in its metadata."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
        names = listed.split("\0")
    else:
        names = (ROOT / "tfclass.egg-info" / "SOURCES.txt").read_text(encoding="utf-8").splitlines()
    return {name for name in names if (ROOT / name).is_file() and not name.startswith((*FORGE, "tfclass.egg-info"))}


def build(kind, source, target):
    """Build as `python -m build` does, but with the setuptools that is here."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(target)], cwd=source, check=True, capture_output=True)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The content of the source distribution, unpacked in a folder."""
    folder = tmp_path_factory.mktemp("sdist")
    # Not built in the project's folder, which it would litter.
    for name in sources():
        target = folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    build("sdist", folder / "source", folder)
    (built,) = folder.glob("tfclass-*.tar.gz")
    with tarfile.open(built) as archive:
        archive.extractall(folder, filter="data")
    return folder / built.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The content of the wheel that is built from the source distribution, unpacked in a folder."""
    folder = tmp_path_factory.mktemp("wheel")
    build("wheel", sdist, folder)
    (built,) = folder.glob("tfclass-*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_the_source_distribution_has_all_that_git_tracks_and_nothing_else(sdist):
    names = {path.relative_to(sdist).as_posix() for path in sdist.rglob("*") if path.is_file()}
    made = {"PKG-INFO", "setup.cfg", *(name for name in names if name.startswith("tfclass.egg-info/"))}
    assert names - made == sources() - made
    for name in ("CHANGELOG.md", "CITATION.cff", "conf/train.yaml", "constraints.txt", "docs/conf.py", "Makefile"):
        assert (sdist / name).read_bytes() == (ROOT / name).read_bytes()


def test_every_module_configuration_example_and_shipped_model_is_in_the_wheel(wheel):
    moved = {"conf": "tfclass/conf", "data/examples": "tfclass/examples"}
    for path in [
        *ROOT.glob("tfclass/**/*.py"),
        *ROOT.glob("tfclass/bundle/pretrained/[!_]*/*"),
        *(path for ending in ("html", "css", "js", "tsv") for path in ROOT.glob(f"tfclass/**/*.{ending}")),
        ROOT / "tfclass/py.typed",
        *ROOT.glob("conf/**/*.yaml"),
        *ROOT.glob("data/examples/*.fasta"),
    ]:
        name = path.relative_to(ROOT).as_posix()
        start = next((start for start in moved if name.startswith(f"{start}/")), "tfclass")
        assert (wheel / name.replace(start, moved.get(start, start), 1)).read_bytes() == path.read_bytes(), name


def test_nothing_else_is_in_the_wheel(wheel):
    top = {path.name for path in wheel.iterdir()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"tfclass"}
    assert not list(wheel.rglob("test_*"))


def test_the_metadata_name_authors_and_places(wheel):
    (path,) = wheel.glob("*.dist-info/METADATA")
    metadata = message_from_bytes(path.read_bytes())
    assert (metadata["Name"], metadata["Author"]) == ("tfclass", "The tfclass authors")
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL", []))
    assert set(urls) == {"Homepage", "Documentation", "Issues", "Changelog"}
    assert all(url.startswith(urls["Homepage"]) for url in urls.values())


def run(wheel, folder, *words):
    """Run Python in a folder, with the wheel's content ahead of what is installed here."""
    environment = {**os.environ, "PYTHONPATH": str(wheel), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_installed_package_finds_its_configuration_and_examples_from_any_folder(wheel, tmp_path):
    code = (
        "import tfclass\nfrom tfclass.cli.options import chosen_inputs\nfrom tfclass.config import ModelConfig\n"
        "print(tfclass.__file__, *chosen_inputs(None, True), ModelConfig.default().embedding_dim, sep='\\n')"
    )
    module, example, width = run(wheel, tmp_path, "-c", code).splitlines()
    assert (module, example) == (str(wheel / "tfclass/__init__.py"), str(wheel / "tfclass/examples/proteins.fasta"))
    assert int(width) > 0


@pytest.mark.slow  # a new interpreter that imports torch
def test_the_installed_package_predicts_its_examples_from_any_folder(wheel, tmp_path):
    assert run(wheel, tmp_path, "-m", "tfclass", "predict", "--example", "-q").count("\tok\t") == 8


@pytest.mark.slow  # a new interpreter that imports Hydra and torch
def test_the_installed_package_composes_its_configuration_from_any_folder(wheel, tmp_path):
    assert "max_residues: 16384" in run(wheel, tmp_path, "-m", "tfclass", "train", "--cfg", "job")
