"""Search one target for bytes that show a fault: ``python -m tests.fuzz TARGET SECONDS``.

Needs atheris, whose search goes by the lines that bytes reach. What it finds stays in ``build/fuzz``: the bytes in
``TARGET/``, from which the next search goes on, and those that show a fault in ``TARGET-crash-*``.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tfclass"]):
    from tests.conftest import library_of, profiled, referenced
    from tests.fuzz.targets import TARGETS

from tfclass.bundle.save import save_bundle
from tfclass.config import CorpusConfig
from tfclass.data.demo import generate_demo
from tfclass.data.table import read_table
from tfclass.sequences.alphabet import Alphabet

ROOT = Path("build/fuzz")


def main(name: str, seconds: str) -> None:
    """Search until the time is over or a fault is found, which ends the process with another status than 0."""
    target, found = TARGETS[name], ROOT / name
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_bundle(folder)
        for number, seed in enumerate(target.seeds(folder)):
            (found / f"seed-{number}").write_bytes(seed)
        options = [f"-max_total_time={seconds}", f"-artifact_prefix={found}-", "-timeout=60", "-rss_limit_mb=4096"]
        atheris.Setup([sys.argv[0], str(found), *options], lambda data: target(data, folder))
        atheris.Fuzz()


def make_bundle(folder: Path) -> None:
    """Write a small bundle with every channel to ``bundle``."""
    table = folder / "demo.tsv"
    generate_demo(n_clusters=150, seed=1).to_csv(table, sep="\t", index=False)
    proteins = read_table(CorpusConfig.default(path=str(table)), Alphabet())
    save_bundle(referenced(profiled(proteins, library_of(table)), proteins), folder / "bundle", "# small\n")


main(*sys.argv[1:])
