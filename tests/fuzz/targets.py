"""Readers of what comes from outside, each as a function of bytes: it ends, or refuses them in one line.

Whatever else leaves a function is a fault of its reader. ``make fuzz`` searches for bytes that show one. Where a reader
has several kinds of input, the first byte chooses the kind.
"""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tests.bundle.test_bundle import sealed
from tfclass import Predictor
from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.description import CARD, DESCRIPTION, WEIGHTS
from tfclass.channels.homology import HomologyChannel
from tfclass.channels.profile import ProfileChannel
from tfclass.cli.composition import run_with_hydra
from tfclass.config import CorpusConfig, TrainConfig, from_mapping, to_mapping
from tfclass.data.curation import AuditConfig, ClusterConfig, FetchConfig, LabelConfig, curation_config
from tfclass.data.importer import import_proteins
from tfclass.data.manifest import save_manifest
from tfclass.data.neighbours import manifest_path
from tfclass.data.sources import from_labels, from_table
from tfclass.data.table import read_table
from tfclass.errors import UNSAFE, TfclassError
from tfclass.io.reading import compressed, unpacked
from tfclass.models.factory import check_size
from tfclass.pipelines.run_folder import RUN_FILE, resumed_config
from tfclass.sequences.alphabet import Alphabet, clean
from tfclass.sequences.fasta import read_fasta

ALPHABET = Alphabet()
FASTA = b">sp|P1 one\nMKVLAWWCHHC*\n>\n>two\n mk-v\r\n>a>b\nMKV1\n"
TABLE = b"""id\tsequence\tlabel\tfamily\tdomains\tcluster\tsplit
a\tMKVLA\tTF\tbZIP\t1-3;5-5\tc1\ttrain
"b ""2\"""\tMKVW*\tnonTF\t\tnone\tc2\tvalid
c\tMKK\tnonTF_hard\t\t\tc3\ttest
"""


class Target(NamedTuple):
    """A reader as a function of bytes and a folder that it may fill; and bytes to begin with.

    The folder has a copy of a bundle with every channel, ``bundle``.
    """

    read: Callable[[bytes, Path], None]
    seeds: Callable[[Path], list[bytes]]

    def __call__(self, data: bytes, folder: Path) -> str | None:
        """Return the line that refuses the bytes, if one does; raise whatever else the reader raises."""
        try:
            self.read(data, folder)
        except TfclassError as error:
            message = str(error)
            assert not UNSAFE.search(message), ascii(message)
            return message
        return None


def _kind(data: bytes, n_kinds: int) -> tuple[int, bytes]:
    return (data[0] if data else 0) % n_kinds, data[1:]


def _fasta(data: bytes, folder: Path) -> None:
    records = list(read_fasta(io.BytesIO(data), max_length=1000))
    assert any(record.sequence or record.problem for record in records)
    for record in records:
        assert clean(record.sequence, ALPHABET).problem or record.sequence
        # What goes into a row can be written.
        (record.id + record.rest_of_header).encode()


def _fasta_seeds(folder: Path) -> list[bytes]:
    packed = [pack(FASTA) for pack in (gzip.compress, bz2.compress, lzma.compress, compressed)]
    return [FASTA, *packed, b"\xef\xbb\xbf>P1;x\ntitle of it\nMKV*\n", b">a\nMKV" + bytes(2)]


def _table(data: bytes, folder: Path) -> None:
    kind, content = _kind(data, 7)
    name = ("t.tsv", "t.csv", "t.parquet", "t.tsv.gz", "t.tsv", "labels.tsv", "t.tsv")[kind]
    for old in folder.glob("t.*"):
        old.unlink()
    path = folder / name
    path.write_bytes(TABLE if kind == 4 else content)
    if kind == 4:
        manifest_path(path).write_bytes(content)
    if kind < 5:
        read_table(CorpusConfig.default(path=str(path)), ALPHABET, ("bZIP",), domains=True)
    elif kind == 5:
        (folder / "all.fasta").write_bytes(FASTA)
        import_proteins(from_labels(folder / "all.fasta", path), ALPHABET)
    else:
        import_proteins(from_table(path, {"label": "family"}), ALPHABET)


def _table_seeds(folder: Path) -> list[bytes]:
    path = folder / "t.tsv"
    path.write_bytes(TABLE)
    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    frame.to_parquet(folder / "t.parquet")
    save_manifest(frame, path, {"funnel": {"rows_in": 3, "steps": [], "rows_out": 3}, "split": {"policy": "column"}})
    manifest = manifest_path(path).read_bytes()
    parquet = (folder / "t.parquet").read_bytes()
    labels = b"id\tlabel\ntwo\tTF\n"
    contents = [TABLE, TABLE.replace(b"\t", b","), parquet, gzip.compress(TABLE), manifest, labels, TABLE]
    return [bytes([kind]) + content for kind, content in enumerate(contents)]


# The files of a bundle, and how what stands here for each becomes its content.
_FILES: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    (CARD, bytes),
    (WEIGHTS, bytes),
    (ProfileChannel.file, compressed),
    (ProfileChannel.file, bytes),
    (HomologyChannel.file, compressed),
    (HomologyChannel.file, bytes),
)


def _bundle(data: bytes, folder: Path) -> None:
    """Read a bundle of which one file is another one, its checksum made right."""
    kind, content = _kind(data, len(_FILES) + 2)
    bundle = folder / "bundle"
    description = json.loads((bundle / DESCRIPTION).read_bytes())
    if kind == len(_FILES):
        changed = {DESCRIPTION: _description(content)}
    elif kind > len(_FILES):
        changed = {DESCRIPTION: sealed(_edited(description, content))}
    else:
        name, packed = _FILES[kind]
        changed = {name: packed(content)}
        sums = description["files"] | {name: hashlib.sha256(changed[name]).hexdigest()}
        changed[DESCRIPTION] = sealed(description | {"files": sums})
    original = {name: (bundle / name).read_bytes() for name in changed}
    try:
        for name, whole in changed.items():
            (bundle / name).write_bytes(whole)
        loaded = load_bundle(bundle)
        # A search by MMseqs2 takes a second.
        channel = "profile" if "profile" in loaded.stacked else "network"
        [*Predictor(loaded, channel=channel).predict({"a": "MKVLAWWCHHC", "b": ""})]
    finally:
        for name, whole in original.items():
            (bundle / name).write_bytes(whole)


def _description(content: bytes) -> bytes:
    """Make the checksum of a description right, where it is one."""
    try:
        return sealed(json.loads(content))
    except (ValueError, RecursionError, AttributeError):
        return content


def _edited(description: dict, content: bytes) -> dict:
    """Change values of a description: on each line, keys joined by dots, ``=`` and a value in JSON."""
    for line in content.splitlines()[:10]:
        keys, _, value = line.decode("utf-8", "replace").partition("=")
        try:
            place, last = [description], 0
            for key in keys.split("."):
                place = place[last]
                last = int(key) if isinstance(place, list) else key
            place[last] = json.loads(value)
        except (ValueError, RecursionError, LookupError, TypeError):
            continue
    return description


def _bundle_seeds(folder: Path) -> list[bytes]:
    bundle = folder / "bundle"
    contents = []
    for name, packed in _FILES:
        content = (bundle / name).read_bytes()
        contents.append(unpacked(content, 1 << 27) if packed is compressed else content)
    description = (bundle / DESCRIPTION).read_bytes()
    edits = b"threshold=0.2\nstacked.profile.threshold=0.3\nprovenance={}\noperating_points=[]"
    return [bytes([kind]) + content for kind, content in enumerate([*contents, description, edits])]


_CURATION = {"fetch": FetchConfig, "label": LabelConfig, "cluster": ClusterConfig, "audit": AuditConfig}


def _config(data: bytes, folder: Path) -> None:
    """Read the record of a training, rules for labels, or a configuration as JSON."""
    kind, content = _kind(data, 2 + len(_CURATION))
    if kind >= 2:
        path = folder / "rules.yaml"
        path.write_bytes(content)
        part = [*_CURATION][kind - 2]
        curation_config(_CURATION[part], part, file=path)
        return
    run = folder / "run"
    run.mkdir(exist_ok=True)
    (run / RUN_FILE).write_bytes(content if kind else b'{"config": ' + content + b"}")
    check_size(resumed_config(run).model, ALPHABET, 2)


def _config_seeds(folder: Path) -> list[bytes]:
    config = TrainConfig.default(name="a", network="bilstm", run_dir="run", corpus=CorpusConfig.default(path="t.tsv"))
    written = json.dumps(to_mapping(config)).encode()
    rules = (files("tfclass.conf") / "curation" / "swissprot.yaml").read_bytes()
    contents = [written, b'{"config": ' + written + b', "init_from": {}}', *[rules] * len(_CURATION)]
    tricks = b"audit: &a\n  identity: !!float '0.5'\n  coverage: *a\n  sensitivity: 1:2e3\n  ? [x]\n  : 2001-01-01"
    return [*(bytes([kind]) + content for kind, content in enumerate(contents)), bytes([5]) + tricks]


def _overrides(data: bytes, folder: Path) -> None:
    """Compose a configuration from a word on each line, as on a command line."""
    words = [word for word in data.decode("utf-8", "surrogateescape").replace("\0", "").split("\n")[:6] if word]
    # A flag of Hydra's, or an option of it, does as it says.
    words = [word for word in words if not word.startswith("-") and "hydra" not in word]
    given = sys.argv
    try:
        run_with_hydra(
            "train",
            TrainConfig,
            lambda values: from_mapping(TrainConfig, values),
            [*words, f"hydra.run.dir={folder}/run"],
        )
    finally:
        sys.argv = given


def _overrides_seeds(folder: Path) -> list[bytes]:
    lines = [
        "corpus.path=a.tsv\ntraining.epochs=3\nmodel=gru\ncorpus.classes=[no, 'yes']",
        "+experiment=demo\n~tracking",
        'corpus.path="a=b.tsv"\ncorpus.aliases={1:TF, 0:nonTF}',
        "corpus.path=${corpus.name}\n++model.stem.stacks=[[1,2],[3]]",
        "tracking={enabled:false}\nname=null\ntraining.minutes=1e3",
    ]
    return [text.encode() for text in lines]


TARGETS = {
    "fasta": Target(_fasta, _fasta_seeds),
    "table": Target(_table, _table_seeds),
    "bundle": Target(_bundle, _bundle_seeds),
    "config": Target(_config, _config_seeds),
    "overrides": Target(_overrides, _overrides_seeds),
}
