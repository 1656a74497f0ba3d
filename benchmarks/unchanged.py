"""Does this version compute what another one computed? Record the outputs of one, then compare those of the other.

Outputs: every column of the shipped model's predictions on the *E. coli* and *P. aeruginosa* proteomes and on 5,000
proteins of the labelled corpus (from the folder that TFCLASS_REAL_DATA names), at two prevalences; the history, the
weights and the threshold of two short trainings on the generated corpus; every number of a report on each of them.

Usage: python benchmarks/unchanged.py record|compare FOLDER [--quick] [--tfclass COMMAND]
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from safetensors.numpy import load_file

TRAININGS = {"bilstm": [], "cnn_bilstm": ["model=cnn_bilstm", "runtime.seed=3", "training.epochs=1"]}
# What differs from run to run in a report, or describes the machine.
VARYING = {"seconds", "residues_per_second", "configuration", "environment", "sha256", "schema_version"}


def main() -> None:
    """Record the outputs of one version, or compare them with recorded ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="500 corpus proteins and no proteome")
    parser.add_argument("--tfclass", default=str(Path(sys.executable).with_name("tfclass")), help="the command to run")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    equal = True
    for name, content in {**predictions(options.tfclass, options.quick), **trainings(options.tfclass)}.items():
        recorded = options.folder / name
        if options.action == "record":
            recorded.write_bytes(content)
            continue
        same = recorded.read_bytes() == content
        equal &= same
        print(f"{name:28} {'equal' if same else 'DIFFERS'}")
        if not same:
            recorded.with_name(f"{name}.differing").write_bytes(content)
    sys.exit(0 if equal else 1)


def run(*command: str, folder: str) -> str:
    """Run a command, stop with its messages where it fails, and return them."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stderr + done.stdout


def predictions(tfclass: str, quick: bool) -> dict[str, bytes]:
    """Return the rows of the shipped model for each set of proteins."""
    data = Path(os.environ["TFCLASS_REAL_DATA"])
    corpus = pd.read_csv(data / "corpus.tsv.gz", sep="\t").sample(5_000, random_state=1)
    sets = {"corpus": corpus.head(500) if quick else corpus}
    for species in () if quick else ("ecoli", "paeruginosa"):
        sets[species] = pd.read_csv(data / f"{species}_proteome.tsv.gz", sep="\t")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, proteins in sets.items():
            fasta = Path(folder) / f"{name}.fasta"
            fasta.write_text("".join(f">{i}\n{s}\n" for i, s in zip(proteins["id"], proteins["sequence"], strict=True)))
            for output, options in ((f"{name}.tsv", ()), (f"{name}.jsonl", ("--prevalence", "0.06"))):
                run(tfclass, "predict", str(fasta), "-o", output, "--quiet", *options, folder=folder)
                rows["quick." * quick + output] = (Path(folder) / output).read_bytes()
    return rows


def trainings(tfclass: str) -> dict[str, bytes]:
    """Return the history, the bundle's numbers and the report's numbers of each training."""
    outputs = {}
    with tempfile.TemporaryDirectory() as folder:
        run(tfclass, "data", "demo", "-o", "demo.tsv", folder=folder)
        common = ("corpus=demo", "corpus.path=demo.tsv", "tracking=off", "runtime.threads=1")
        for name, overrides in TRAININGS.items():
            options = ("training=demo", "training.epochs=2", *overrides, f"bundle={name}")
            history = run(tfclass, "train", *common, *options, folder=folder)
            run(tfclass, "evaluate", *common, f"bundle={name}", f"report={name}-report", folder=folder)
            bundle = json.loads((Path(folder) / name / "bundle.json").read_text())
            report = json.loads((Path(folder) / f"{name}-report" / "report.json").read_text())
            weights = load_file(Path(folder) / name / "model.safetensors").values()
            content = {
                "history": re.findall(r"epoch.*?precision [\d.]+", history),
                "weights": sorted(hashlib.sha256(values.tobytes()).hexdigest() for values in weights),
                "bundle": numbers_of([bundle["calibration"], bundle["threshold"], bundle["operating_points"]]),
                "report": numbers_of(report),
            }
            outputs |= {f"{name}.{key}": json.dumps(value, indent=1).encode() for key, value in content.items()}
    return outputs


def numbers_of(content: object) -> list[float]:
    """Return every number of the content in ascending order, whatever it is called."""
    if isinstance(content, dict):
        content = [value for key, value in content.items() if key not in VARYING]
    if isinstance(content, list):
        return sorted(number for value in content for number in numbers_of(value))
    return [float(content)] if isinstance(content, int | float) and content == content else []


if __name__ == "__main__":
    main()
