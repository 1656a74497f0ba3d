"""Does a download survive a bad server and being killed?

A server on this machine speaks as UniProt's REST API does. `tfclass data fetch` downloads generated entries from it
twice: undisturbed; and while one request in twenty goes wrong (429 with seconds and with a date, 500, 503, a dropped
connection, a body cut short, an HTML page, a redirect, pages with rows or cells missing) and the process is killed
twice, at random moments. The two files must be the same to the byte.

Usage: python benchmarks/fetch.py [--entries 100000] [--seed 0]
"""

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.data.uniprot_server import Handler, UniProtServer

# Those that no client can get over are left out.
FATAL = ("429, an hour", "redirected in a circle", "400")
FAULTS = [fault for fault in Handler.FAULTS if fault not in FATAL]
SHARE_OF_FAULTS = 0.05


def main():
    """Download twice, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000, help="to download")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        download_badly(Path(folder), options.entries, random.Random(options.seed))  # noqa: S311 - repeatable, no secret


def download_badly(folder: Path, total: int, rng: random.Random):
    """Download undisturbed and disturbed, and compare."""
    started = time.perf_counter()
    with UniProtServer(total) as server:
        fetch(server, folder / "undisturbed").wait()
    print(f"undisturbed: {total:,} entries, {server.count} requests, {time.perf_counter() - started:.0f} s", flush=True)

    pages = -(-total // 500)
    faults = {number: rng.choice(FAULTS) for number in range(1, 2 * pages) if rng.random() < SHARE_OF_FAULTS}
    started = time.perf_counter()
    with UniProtServer(total, faults) as server:
        for share in (0.3, 0.7):
            process = fetch(server, folder / "disturbed")
            while len(list((folder / "disturbed").glob("pages.part/*.json"))) < share * pages:
                time.sleep(0.01)
            time.sleep(rng.random() * 0.2)
            process.kill()
            process.wait()
            print(f"killed after {server.count} requests", flush=True)
        fetch(server, folder / "disturbed").wait()
    print(f"disturbed: {server.count} requests, {time.perf_counter() - started:.0f} s", flush=True)
    for fault, count in sorted(Counter(server.done).items()):
        print(f"  {fault}: {count}")
    digests = [sha256(folder / name / "entries.tsv.gz") for name in ("undisturbed", "disturbed")]
    print(f"{'the same' if digests[0] == digests[1] else 'DIFFERENT'} to the byte: sha256 {digests[1]}\n", flush=True)


def fetch(server: UniProtServer, folder: Path) -> subprocess.Popen[bytes]:
    """Start `tfclass data fetch`; waits between retries are a hundredth of what they are for UniProt."""
    return tfclass("data", "fetch", "-o", folder, "--url", server.url, "--rate", 1000, "--backoff", 0.01)


def tfclass(*arguments: object) -> subprocess.Popen[bytes]:
    """Start a command of tfclass in a process of its own."""
    command = [sys.executable, "-c", "from tfclass.cli.app import main; main()", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def sha256(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


if __name__ == "__main__":
    main()
