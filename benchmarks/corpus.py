"""From raw FASTA, labels and clusters to a checked, labelled, split table of Swiss-Prot's size: seconds and memory.

The proteins are generated, with Swiss-Prot's distribution of lengths (lognormal, median 295). The clusters are given,
so the time is that of tfclass and not of MMseqs2. Each step is a process of its own, as on the command line. The first
one labels the same proteins as entries of a UniProt download.

Usage: python benchmarks/corpus.py [--proteins 570000]
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.data.uniprot_server import TITLES, write_download
from tfclass.sequences.alphabet import AMINO_ACIDS
from tfclass.sequences.fasta import read_fasta

TFCLASS = [sys.executable, "-c", "from tfclass.cli.app import main; main()", "data"]
MEDIAN, SPREAD = 295, 0.63
# Proteins of a cluster, on average.
MEMBERS = 5
POSITIVE = 0.05
WRITTEN_AT_ONCE = 5_000


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proteins", type=int, default=570_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        residues = generate(options.proteins)
        write_entries(Path("raw"))
        print(f"{options.proteins:,} proteins, {residues:,} residues\n")
        print(f"{'':<10}{'seconds':>10}{'of CPU':>10}{'peak GB':>10}")
        steps = {
            "label": "label raw -o labelled.tsv",
            "import": "import raw.fasta --labels labels.tsv -o imported.tsv",
            "cluster": "cluster imported.tsv --clusters clusters.tsv -o clustered.tsv",
            "split": "split clustered.tsv -o split.tsv --max-members 8",
            "check": "check split.tsv",
        }
        rows = [measured(name, arguments.split()) for name, arguments in steps.items()]
        seconds, cpu, peak = zip(*rows, strict=True)
        print(f"{'all':<10}{sum(seconds):>10.1f}{sum(cpu):>10.1f}{max(peak):>10.2f}")


def generate(n_proteins: int) -> int:
    """Write FASTA, labels and clusters into the working directory; return the number of residues."""
    rng = np.random.default_rng(0)
    letters = np.frombuffer(AMINO_ACIDS.encode(), dtype=np.uint8)
    lengths = np.clip(rng.lognormal(np.log(MEDIAN), SPREAD, n_proteins), 16, 35_213).astype(int)
    clusters = rng.integers(0, n_proteins // MEMBERS, n_proteins)
    positive = rng.random(n_proteins // MEMBERS) < POSITIVE
    # The first protein of each cluster is its representative.
    first_of = dict(zip(clusters[::-1], range(n_proteins - 1, -1, -1), strict=True))
    with Path("raw.fasta").open("wb") as fasta:
        for start in range(0, n_proteins, WRITTEN_AT_ONCE):
            records = []
            for i in range(start, min(start + WRITTEN_AT_ONCE, n_proteins)):
                sequence = rng.choice(letters, lengths[i]).tobytes()
                lines = b"\n".join(sequence[at : at + 60] for at in range(0, len(sequence), 60))
                records.append(b">P%07d generated\n%s\n" % (i, lines))
            fasta.writelines(records)
    with Path("labels.tsv").open("w") as labels, Path("clusters.tsv").open("w") as table:
        for i, cluster in enumerate(clusters):
            labels.write(f"P{i:07}\t{'TF' if positive[cluster] else 'nonTF'}\n")
            table.write(f"P{first_of[cluster]:07}\tP{i:07}\n")
    return int(lengths.sum())


def write_entries(folder: Path) -> None:
    """Write the same proteins as a complete UniProt download."""
    folder.mkdir()
    label_of = dict(line.split() for line in Path("labels.tsv").read_text().splitlines())
    terms = {"TF": "GO:0003700", "nonTF": ""}

    def lines():
        yield "\t".join(TITLES.values())
        for number, record in enumerate(read_fasta(Path("raw.fasta"))):
            cells = {"accession": record.id, "go_id": terms[label_of[record.id]], "sequence": record.sequence}
            cells |= {"organism_id": str(number % 5000), "lineage": "Eukaryota (domain), Fungi (kingdom)"}
            yield "\t".join(cells.get(field, "") for field in TITLES)

    write_download(folder, lines())


def measured(name: str, arguments: list[str]) -> tuple[float, float, float]:
    """Run a verb; print and return seconds, seconds of CPU and gigabytes at its peak."""
    started = time.perf_counter()
    # Not subprocess: it would not tell what this one child used.
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    process = os.posix_spawn(sys.executable, [*TFCLASS, *arguments], os.environ, file_actions=quiet)
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit(f"tfclass data {' '.join(arguments)}: exit status {os.waitstatus_to_exitcode(status)}")
    row = time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6
    print(f"{name:<10}{row[0]:>10.1f}{row[1]:>10.1f}{row[2]:>10.2f}", flush=True)
    return row


if __name__ == "__main__":
    main()
