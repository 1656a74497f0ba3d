"""Bundles that somebody made to harm, or a disk damaged: each is refused in one plain line, before it costs much."""

import contextlib
import hashlib
import io
import json
import os
import random
import resource
import shutil
import socket
import struct
import subprocess
import sys
from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pyhmmer
import pytest
import safetensors.torch
import torch

from tests.bombs import gzip_bomb
from tests.bundle.test_bundle import change
from tests.bundle.test_with_profiles import PROFILES, REFERENCE, described
from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.description import CARD, DESCRIPTION, WEIGHTS
from tfclass.bundle.save import save_bundle
from tfclass.cli.app import main
from tfclass.config import CorpusConfig, EvaluateConfig, StemConfig, TrackingConfig
from tfclass.errors import BundleError, ProfileError
from tfclass.io.reading import compressed, unpacked, zstd
from tfclass.models.factory import build
from tfclass.pipelines.evaluate import evaluate_bundle
from tfclass.search.hmmer import Library
from tfclass.sequences.alphabet import Alphabet

UNPRINTABLE = "a text without control characters, on one line)"


def harmed(name, content):
    """Put another file into a bundle, its checksum made right."""

    def harm(folder):
        path = folder / name
        path.write_bytes(content(folder) if callable(content) else content)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        change(folder, files=described(folder)["files"] | {name: digest})

    return harm


def told(**values):
    return lambda folder: change(folder, **values)


def inside(key, **values):
    """Change values of one part of the description."""
    return lambda folder: change(folder, **{key: described(folder)[key] | values})


STEM = asdict(StemConfig.default())


def stacking(**values):
    def harm(folder):
        stacked = described(folder)["stacked"]
        change(folder, stacked=stacked | {"profile": stacked["profile"] | values})

    return harm


def listed(**files):
    return lambda folder: change(folder, files=described(folder)["files"] | files)


def raw(content):
    return lambda folder: (folder / DESCRIPTION).write_bytes(content)


def instead(name, make):
    """Put something that is no plain file in the place of one."""

    def harm(folder):
        (folder / name).unlink()
        make(folder / name)

    return harm


def sparse(size):
    def make(path):
        with path.open("wb") as stream:
            stream.truncate(size)

    return make


def listening(path):
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as patch:
        # The path may be longer than the name of a socket can be.
        patch.chdir(path.parent)
        listener.bind(path.name)


def weights(change_them):
    def content(folder):
        tensors = safetensors.torch.load((folder / WEIGHTS).read_bytes())
        change_them(tensors)
        return safetensors.torch.save(tensors)

    return harmed(WEIGHTS, content)


def first_weight(value):
    def harm(tensors):
        tensors["head.weight"][0, 0] = value

    return harm


def with_header(change_it):
    """Change the JSON at the start of the file of weights."""

    def content(folder):
        whole = (folder / WEIGHTS).read_bytes()
        length = int.from_bytes(whole[:8], "little")
        header = json.dumps(change_it(json.loads(whole[8 : 8 + length]))).encode()
        return len(header).to_bytes(8, "little") + header + whole[8 + length :]

    return harmed(WEIGHTS, content)


def profiles(change_them, packed=compressed):
    def content(folder):
        return packed(change_them(bytearray(unpacked((folder / PROFILES).read_bytes(), 1 << 27))))

    return harmed(PROFILES, content)


def as_text(content):
    text = io.BytesIO()
    for hmm in pyhmmer.plan7.HMMFile(io.BytesIO(bytes(content))):
        hmm.write(text)
    return text.getvalue()


def integer(place, value):
    """Overwrite four bytes."""
    return lambda content: content[:place] + struct.pack("=i", value) + content[place + 4 :]


def number(place, value):
    return lambda content: content[:place] + struct.pack("=f", value) + content[place + 4 :]


def line(old, new):
    return lambda content: as_text(content).replace(old, new, 1)


@cache
def bomb(size, start=b""):
    """Make a small zstd file of very many zeros."""
    packer = zstd.ZstdCompressor(level=1)
    parts = [packer.compress(start)]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.flush()])


def nested(depth):
    return b'{"a":' * depth + b"1" + b"}" * depth


def deep_provenance(folder):
    value = {}
    for _ in range(60):
        value = {"a": value}
    change(folder, provenance=value)


def proteins(*rows):
    return compressed(json.dumps([dict(zip(("id", "label", "sequence"), row, strict=True)) for row in rows]).encode())


def value(key, reason):
    """Say how the message on a value of the description begins."""
    return DESCRIPTION, f"{', ' * bool(key)}{key}: found what is not allowed ({reason}"


def unread(name, reason):
    kind = {PROFILES: "profiles", REFERENCE: "reference"}[name]
    return name, f": found no {kind} that can be read ({reason}"


def misfit(reason):
    return WEIGHTS, f": found parts that do not fit together ({reason}"


SIZE = 8  # Where the number of states stands in a binary profile.
GIBIBYTE = 1 << 30

# Name of the case: what is done to the bundle, the file that is named, and how what was found begins.
CASES = {
    # Files that are none.
    "description: link to /dev/zero": (
        instead(DESCRIPTION, lambda p: p.symlink_to("/dev/zero")),
        DESCRIPTION,
        ": found a symbolic link; expected a plain file; restore the bundle",
    ),
    "description: named pipe": (
        instead(DESCRIPTION, os.mkfifo),
        DESCRIPTION,
        ": found a named pipe; expected a plain file",
    ),
    "description: folder": (instead(DESCRIPTION, os.mkdir), DESCRIPTION, ": found a folder; expected a plain file"),
    "description: dangling link": (
        instead(DESCRIPTION, lambda p: p.symlink_to("nowhere")),
        DESCRIPTION,
        ": found a symbolic link",
    ),
    "weights: link to /dev/zero": (
        instead(WEIGHTS, lambda p: p.symlink_to("/dev/zero")),
        WEIGHTS,
        ": found a symbolic link",
    ),
    "weights: link to /dev/stdin": (
        instead(WEIGHTS, lambda p: p.symlink_to("/dev/stdin")),
        WEIGHTS,
        ": found a symbolic link",
    ),
    "weights: link out of the folder": (
        instead(WEIGHTS, lambda p: p.symlink_to("/etc/passwd")),
        WEIGHTS,
        ": found a symbolic link",
    ),
    "weights: link to itself": (instead(WEIGHTS, lambda p: p.symlink_to(p.name)), WEIGHTS, ": found a symbolic link"),
    "weights: named pipe": (instead(WEIGHTS, os.mkfifo), WEIGHTS, ": found a named pipe; expected a plain file"),
    "weights: socket": (instead(WEIGHTS, listening), WEIGHTS, ": found a socket; expected a plain file"),
    "weights: folder": (instead(WEIGHTS, os.mkdir), WEIGHTS, ": found a folder; expected a plain file"),
    "card: named pipe": (instead(CARD, os.mkfifo), CARD, ": found a named pipe; expected a plain file"),
    "profiles: named pipe": (instead(PROFILES, os.mkfifo), PROFILES, ": found a named pipe; expected a plain file"),
    "reference: link to /dev/urandom": (
        instead(REFERENCE, lambda p: p.symlink_to("/dev/urandom")),
        REFERENCE,
        ": found a symbolic link",
    ),
    # Files too large, most of them sparse.
    "description: 7 GiB": (
        instead(DESCRIPTION, sparse(7 * GIBIBYTE)),
        DESCRIPTION,
        ": found a file of 7.0 GiB; expected at most 4.0 MiB",
    ),
    "weights: 7 GiB": (
        instead(WEIGHTS, sparse(7 * GIBIBYTE)),
        WEIGHTS,
        ": found a file of 7.0 GiB; expected at most 516.0 MiB",
    ),
    "weights: 500 MiB": (instead(WEIGHTS, sparse(500 << 20)), *misfit("a file of 500.0 MiB for a network of ")),
    "card: 7 GiB": (instead(CARD, sparse(7 * GIBIBYTE)), CARD, ": found a file of 7.0 GiB; expected at most 1.0 MiB"),
    "profiles: 7 GiB": (
        instead(PROFILES, sparse(7 * GIBIBYTE)),
        PROFILES,
        ": found a file of 7.0 GiB; expected at most 64.0 MiB",
    ),
    "reference: 7 GiB": (
        instead(REFERENCE, sparse(7 * GIBIBYTE)),
        REFERENCE,
        ": found a file of 7.0 GiB; expected at most 64.0 MiB",
    ),
    # Bombs.
    "profiles: zstd bomb": (
        harmed(PROFILES, lambda _: bomb(2 * GIBIBYTE)),
        *unread(PROFILES, "more than 96.0 MiB when unpacked)"),
    ),
    "profiles: gzip bomb": (
        harmed(PROFILES, lambda _: gzip_bomb(1024)),
        *unread(PROFILES, "more than 96.0 MiB when unpacked)"),
    ),
    "profiles: bomb of blank lines": (
        harmed(PROFILES, lambda _: compressed(b"HMMER3/f [3.4]\n" + b"\n" * (90 << 20))),
        *unread(PROFILES, "profile 1: more than 1000 blank lines)"),
    ),
    "profiles: one long line": (
        harmed(PROFILES, lambda _: compressed(b"HMMER3/f" + b" a" * (40 << 20))),
        *unread(PROFILES, "a line that is too long, or has a null byte)"),
    ),
    "reference: zstd bomb": (
        harmed(REFERENCE, lambda _: bomb(2 * GIBIBYTE, b"[")),
        *unread(REFERENCE, "more than 96.0 MiB when unpacked)"),
    ),
    "reference: gzip bomb": (
        harmed(REFERENCE, lambda _: gzip_bomb(1024)),
        *unread(REFERENCE, "more than 96.0 MiB when unpacked)"),
    ),
    "reference: 40 million numbers": (
        harmed(REFERENCE, lambda _: compressed(b"[" + b"1," * (40 << 20) + b"1]")),
        *unread(REFERENCE, "more than 300,000 proteins)"),
    ),
    "reference: a million proteins": (
        harmed(REFERENCE, lambda _: compressed(b"[" + b"{}," * 1_000_000 + b"{}]")),
        *unread(REFERENCE, "more than 300,000 proteins)"),
    ),
    # The description as a text.
    "description: nested 100,000 deep": (
        raw(nested(100_000)),
        DESCRIPTION,
        ": found damaged JSON (nested more than 50 deep)",
    ),
    "description: nested 900 deep": (raw(nested(900)), DESCRIPTION, ": found damaged JSON (nested more than 50 deep)"),
    "description: nested provenance": (deep_provenance, DESCRIPTION, ": found damaged JSON (nested more than 50 deep)"),
    "description: 400,000 empty lists": (
        raw(b"[" + b"[]," * 400_000 + b"[]]"),
        DESCRIPTION,
        ": found no schema version",
    ),
    "description: a number of 5,000 digits": (
        raw(b'{"schema_version": ' + b"1" * 5_000 + b"}"),
        DESCRIPTION,
        ": found damaged JSON (Exceeds the limit",
    ),
    "description: infinite by 1e999": (
        raw(b'{"schema_version": 1, "threshold": 1e999}'),
        DESCRIPTION,
        ": found damaged JSON (Out of range float values",
    ),
    "description: null bytes": (raw(bytes(1000)), DESCRIPTION, ": found damaged JSON (Expecting value"),
    "description: UTF-16": (
        raw('{"schema_version": 4}'.encode("utf-16")),
        DESCRIPTION,
        ": found damaged JSON ('utf-8' codec can't decode",
    ),
    "version: beyond 64 bits": (
        told(schema_version=10**30),
        DESCRIPTION,
        ": found schema version 1000000000000000000000000000000; expected 5",
    ),
    "version: true": (told(schema_version=True), DESCRIPTION, ": found no schema version"),
    "100,000 unknown keys": (
        told(**{f"k{i}": 1 for i in range(100_000)}),
        *value("k0", "Unexpected keyword argument)"),
    ),
    "an unknown key that a terminal obeys": (
        told(**{"\x1b[2Jkey": 1}),
        *value("\\x1b[2Jkey", "Unexpected keyword argument)"),
    ),
    "an unknown key of a million letters": (
        told(**{"k" * 1_000_000: 1}),
        *value(f"{'k' * 60}", "Unexpected keyword argument)"),
    ),
    # Names.
    "name: a line end": (told(name="a\nthreshold=0"), *value("name", UNPRINTABLE)),
    "name: what clears a terminal": (told(name="\x1b[2J"), *value("name", UNPRINTABLE)),
    "name: eight-bit control": (told(name="a\x9b2J"), *value("name", UNPRINTABLE)),
    "name: right to left": (told(name="a\u202etxt"), *value("name", UNPRINTABLE)),
    "name: a surrogate": (told(name="\ud800"), *value("", "Invalid JSON: ")),
    "name: empty": (told(name=""), *value("name", "String should have at least 1 character)")),
    "name: a million letters": (
        told(name="n" * 1_000_000),
        *value("name", "String should have at most 200 characters)"),
    ),
    "name: a number": (told(name=3), *value("name", "Input should be a valid string)")),
    "classes: a line end": (told(classes=["nonTF", "TF\nx"]), *value("classes.1", UNPRINTABLE)),
    "classes: a surrogate": (told(classes=["nonTF", "\udcff"]), *value("", "Invalid JSON: ")),
    "classes: twice the same": (told(classes=["TF", "TF"]), *value("classes", "each once)")),
    "classes: an empty one": (
        told(classes=["", "TF"]),
        *value("classes.0", "String should have at least 1 character)"),
    ),
    "classes: 100,000": (
        told(classes=[f"c{i}" for i in range(100_000)]),
        *value("classes", "Tuple should have at most 1000 items after validation"),
    ),
    "classes: a text": (told(classes="TF"), *value("classes", "Input should be a valid ")),
    "letters: 10,000": (told(letters="ACDEFGHIKLMNPQRSTVWY" + "BX" * 5_000), *value("letters", "each once)")),
    "letters: outside ASCII": (
        told(letters="ACDEFGHIKLMNPQRSTVWYX\u0141"),
        *value("letters", "String should match pattern"),
    ),
    "letters: lower case": (told(letters="ACDEFGHIKLMNPQRSTVWYXa"), *value("letters", "String should match pattern")),
    "families: a line end": (inside("model", families=["a", "b\r\n"]), *value("model.families.1", UNPRINTABLE)),
    "families: 100,000": (
        inside("model", families=[f"f{i}" for i in range(100_000)]),
        *value("model.families", "Tuple should have at most 10000 items after validation"),
    ),
    # Sizes of the network.
    "hidden: 60,000": (
        inside("model", hidden=60_000),
        *misfit("model: found a network of 134.1 GiB; expected at most 512.0 MiB"),
    ),
    "hidden: 2,000": (inside("model", hidden=2_000), *misfit("a file of ")),
    "hidden: beyond 64 bits": (
        inside("model", hidden=2**64),
        *value("model.hidden", "Input should be less than or equal to 2147483647)"),
    ),
    "hidden: products beyond 64 bits": (
        inside("model", hidden=2**31 - 1),
        *misfit("model: found a network of 1024 PiB or more; expected at most 512.0 MiB"),
    ),
    "hidden: negative": (
        inside("model", hidden=-1),
        *value("model.hidden", "Input should be greater than or equal to 1)"),
    ),
    "hidden: a fraction": (inside("model", hidden=6.5), *value("model.hidden", "Input should be a valid integer)")),
    "hidden: a text": (inside("model", hidden="6"), *value("model.hidden", "Input should be a valid integer)")),
    "layers: a million": (
        inside("model", layers=1_000_000),
        *value("model.layers", "Input should be less than or equal to 1000)"),
    ),
    "layers: 1,000": (inside("model", layers=1_000), *misfit("a file of ")),
    "words of four, very wide": (
        inside("model", embedding_dim=2**31 - 1, kmer=4),
        *misfit("model: found a network of 4.1 PiB"),
    ),
    "words of a thousand": (
        inside("model", kmer=1_000),
        *value("model.kmer", "Input should be less than or equal to 4)"),
    ),
    "kernel: a billion": (
        inside("model", stem={**STEM, "kernel": 10**9 + 1}),
        *value("model.stem.kernel", "Input should be less than or equal to 10000)"),
    ),
    "pool: beyond 64 bits": (
        inside("model", stem={**STEM, "pool": 2**70}),
        *value("model.stem.pool", "Input should be less than or equal to 10000)"),
    ),
    "stacks: 10,000": (
        inside("model", stem={**STEM, "name": "stacks", "stacks": [[4]] * 10_000}),
        *value("model.stem.stacks", "Tuple should have at most 100 items after validation"),
    ),
    "head: two billion": (inside("model", head_hidden=2 * 10**9), *misfit("model: found a network of ")),
    "dropout: 1": (inside("model", dropout=1.0), *value("model.dropout", "Input should be less than 1)")),
    # Calibration, thresholds and how channels are read.
    "threshold: negative": (told(threshold=-0.5), *value("threshold", "Input should be greater than or equal to 0)")),
    "threshold: above 1": (told(threshold=1.5), *value("threshold", "Input should be less than or equal to 1)")),
    "threshold: a text": (told(threshold="0.5"), *value("threshold", "Input should be a valid number)")),
    "threshold: none for two classes": (
        told(threshold=None),
        DESCRIPTION,
        ": found a threshold of None for 2 classes; expected one for two classes, none for more",
    ),
    "temperature: tiny": (
        inside("calibration", temperature=1e-320),
        *value("calibration.temperature", "Input should be greater than 0.000001)"),
    ),
    "temperature: huge": (
        inside("calibration", temperature=1e300),
        *value("calibration.temperature", "Input should be less than or equal to 1000000)"),
    ),
    "class weights: huge": (
        inside("calibration", log_weight_C=[1e308, -1e308]),
        *value("calibration.log_weight_C.0", "Input should be less than or equal to 1000000)"),
    ),
    "bias: huge": (
        inside("calibration", bias=-1e300),
        *value("calibration.bias", "Input should be greater than or equal to -1000000)"),
    ),
    "prevalence: 0": (
        inside("calibration", prevalence=0.0),
        *value("calibration.prevalence", "Input should be greater than 0)"),
    ),
    "operating points: above 1": (
        told(operating_points=[[0.5, 2.0, 0.5]]),
        *value("operating_points.0.1", "Input should be less than or equal to 1)"),
    ),
    "operating points: 20,000": (
        told(operating_points=[[0.5, 0.5, 0.5]] * 20_000),
        *value("operating_points", "Tuple should have at most 10000 items after validation"),
    ),
    "operating points: two numbers": (
        told(operating_points=[[0.5, 0.5]]),
        *value("operating_points.0.2", "Field required)"),
    ),
    "stacking: huge weights": (
        stacking(weights=[1e308, -1e308, 1e308, 0.0]),
        *value("stacked.profile.weights.0", "Input should be less than or equal to 1000000)"),
    ),
    "stacking: huge offsets": (
        stacking(offsets=[1e308] * 6),
        *value("stacked.profile.offsets.0", "Input should be less than or equal to 1000000)"),
    ),
    "stacking: an unknown channel": (
        inside("stacked", magic={}),
        *value("stacked.magic.[key]", "no channel beside the network, and not combined)"),
    ),
    "provenance: a list": (told(provenance=[1]), *value("provenance", "Input should be a valid dictionary)")),
    "provenance: a corpus that is none": (
        told(provenance={"corpus": [1]}),
        *value("provenance.corpus", "Input should be a valid dictionary"),
    ),
    "provenance: a run of a number": (
        told(provenance={"mlflow_run_id": 7}),
        *value("provenance.mlflow_run_id", "Input should be a valid string)"),
    ),
    # Files that the description names.
    "files: /etc/shadow": (
        listed(**{"/etc/shadow": "0" * 64}),
        *value("files./etc/shadow.[key]", "no file of a bundle"),
    ),
    "files: ../../x": (
        listed(**{"../../x": "0" * 64}),
        *value("files.../../x.[key]", "no file of a bundle"),
    ),
    "files: a null byte": (
        listed(**{"a\0b": "0" * 64}),
        *value("files.a\\x00b.[key]", "no file of a bundle"),
    ),
    "files: /dev/zero": (
        listed(**{"/dev/zero": "0" * 64}),
        *value("files./dev/zero.[key]", "no file of a bundle"),
    ),
    "files: a checksum that is none": (
        listed(**{CARD: "x"}),
        *value("files.MODEL_CARD.md", "String should match pattern"),
    ),
    "files: no card": (
        lambda f: change(f, files={k: v for k, v in described(f)["files"].items() if k != CARD}),
        DESCRIPTION,
        ": found no checksum of MODEL_CARD.md",
    ),
    "files: the weights as the card": (
        lambda f: listed(**{CARD: described(f)["files"][WEIGHTS]})(f),
        CARD,
        ": checksum mismatch",
    ),
    # Weights.
    "weights: NaN": (
        weights(first_weight(float("nan"))),
        WEIGHTS,
        ": found a weight that is infinite or not a number (head.weight); train it again",
    ),
    "weights: infinite": (
        weights(first_weight(float("inf"))),
        WEIGHTS,
        ": found a weight that is infinite or not a number (head.weight); train it again",
    ),
    "weights: another name": (weights(lambda t: t.update(tail=t.pop("head.weight"))), *misfit("")),
    "weights: another shape": (
        weights(lambda t: t.update({"head.weight": t["head.weight"].T.contiguous()})),
        *misfit(""),
    ),
    "weights: half precision": (
        weights(lambda t: t.update({k: v.half() for k, v in t.items()})),
        *misfit("a file of "),
    ),
    "weights: a header of 2**60 bytes": (
        harmed(WEIGHTS, lambda f: (2**60).to_bytes(8, "little") + (f / WEIGHTS).read_bytes()[8:]),
        *misfit(""),
    ),
    "weights: an unknown type": (
        with_header(lambda h: h | {"head.bias": h["head.bias"] | {"dtype": "F5"}}),
        *misfit(""),
    ),
    "weights: places outside the file": (
        with_header(lambda h: h | {"head.bias": h["head.bias"] | {"data_offsets": [0, 2**62]}}),
        *misfit(""),
    ),
    "weights: shapes beyond 64 bits": (
        with_header(lambda h: h | {"head.bias": h["head.bias"] | {"shape": [2**63, 4]}}),
        *misfit(""),
    ),
    "weights: a nested header": (
        harmed(
            WEIGHTS,
            lambda f: (lambda h: len(h).to_bytes(8, "little") + h + bytes((f / WEIGHTS).stat().st_size))(
                nested(10_000)
            ),
        ),
        *misfit(""),
    ),
    "weights: noise": (
        harmed(WEIGHTS, lambda f: random.Random(0).randbytes((f / WEIGHTS).stat().st_size)),
        *misfit(""),
    ),
    # Cards.
    "card: Latin-1": (harmed(CARD, "# Modell für Fälle\n".encode("latin-1")), CARD, ": found a card that is not UTF-8"),
    "card: UTF-16": (harmed(CARD, "# card\n".encode("utf-16")), CARD, ": found a card that is not UTF-8"),
    "card: 2 MiB": (harmed(CARD, b"#" * (2 << 20)), CARD, ": found a file of 2.0 MiB; expected at most 1.0 MiB"),
    # Profiles.
    "profiles: two billion states": (
        profiles(integer(SIZE, 2**31 - 1)),
        *unread(PROFILES, "profile 1: 2147483647 states, which are not 1 to 20,000)"),
    ),
    "profiles: states below zero": (profiles(integer(SIZE, -5)), *unread(PROFILES, "profile 1: -5 states")),
    "profiles: states that are not there": (profiles(integer(SIZE, 19_000)), *unread(PROFILES, "profile 1: ")),
    "profiles: one state less": (
        profiles(lambda c: integer(SIZE, struct.unpack_from("=i", c, SIZE)[0] - 1)(c)),
        *unread(PROFILES, "profile 1: "),
    ),
    "profiles: another alphabet": (
        profiles(integer(12, 1)),
        *unread(PROFILES, "profile 1: another alphabet than that of amino acids)"),
    ),
    "profiles: all flags": (profiles(integer(4, -1)), *unread(PROFILES, "profile 1: unknown parts, or no statistics)")),
    "profiles: no flags": (profiles(integer(4, 0)), *unread(PROFILES, "profile 1: unknown parts, or no statistics)")),
    "profiles: NaN emissions": (
        profiles(number(16, float("nan"))),
        *unread(PROFILES, "profile 1: a number that is not 0 to 1.001)"),
    ),
    "profiles: negative emissions": (
        profiles(number(16, -0.5)),
        *unread(PROFILES, "profile 1: a number that is not 0 to 1.001)"),
    ),
    "profiles: emissions that sum to 2": (
        profiles(number(16, 1.0)),
        *unread(PROFILES, "profile 1: probabilities that do not sum to 1)"),
    ),
    "profiles: cut short": (profiles(lambda c: c[:-40]), *unread(PROFILES, "profile ")),
    "profiles: something behind them": (profiles(lambda c: c + b"more"), *unread(PROFILES, "profile ")),
    "profiles: swapped bytes": (
        profiles(lambda c: np.frombuffer(bytes(c[: len(c) // 4 * 4]), "u4").byteswap().tobytes()),
        *unread(PROFILES, "neither text nor binary of HMMER3/f)"),
    ),
    "profiles: names of a line end": (
        profiles(lambda c: c.replace(b"demo bHLH\0", b"demo\nHLH\0")),
        *unread(PROFILES, ""),
    ),
    "profiles: names without an end": (
        profiles(lambda c: c.replace(b"demo bHLH\0", b"demo bHLHx")),
        *unread(PROFILES, "profile "),
    ),
    "profiles, text: no LENG": (profiles(line(b"LENG", b"LONG")), *unread(PROFILES, "profile 1: no LENG)")),
    "profiles, text: no ALPH": (
        profiles(line(b"ALPH", b"OMEG")),
        *unread(PROFILES, "profile 1: a threshold ahead of the alphabet)"),
    ),
    "profiles, text: LENG 2000000000": (profiles(line(b"LENG  ", b"LENG  20000000")), *unread(PROFILES, "profile 1: ")),
    "profiles, text: LENG -1": (profiles(line(b"LENG  ", b"LENG  -")), *unread(PROFILES, "profile 1: ")),
    "profiles, text: a word less": (
        profiles(line(b"0.00000        *\n", b"0.00000\n")),
        *unread(PROFILES, "profile 1: 6 numbers where 7 should be)"),
    ),
    "profiles, text: NaN": (profiles(line(b"  COMPO   2", b"  COMPO nan")), *unread(PROFILES, "profile 1: ")),
    "profiles, text: an older version": (
        profiles(line(b"HMMER3/f", b"HMMER3/a")),
        *unread(PROFILES, "neither text nor binary of HMMER3/f)"),
    ),
    # The reference.
    "reference: nested": (harmed(REFERENCE, compressed(b"[" * 100_000)), *unread(REFERENCE, "")),
    "reference: a surrogate": (
        harmed(REFERENCE, proteins(("\ud800", "TF", "MKV"))),
        *unread(REFERENCE, "Invalid JSON: "),
    ),
    "reference: a class of a terminal": (
        harmed(REFERENCE, proteins(("a", "\x1b[2J", "MKV"))),
        *unread(REFERENCE, "'\\x1b[2J')"),
    ),
    "reference: no residues": (
        harmed(REFERENCE, proteins(("a", "TF", "M1V"))),
        *unread(REFERENCE, "position 2: found '1'"),
    ),
}


@pytest.fixture
def folder(with_homology_folder, tmp_path):
    """A copy of a bundle with every channel."""
    return shutil.copytree(with_homology_folder, tmp_path / "copy")


def run(capfd, monkeypatch, *arguments):
    """Run the command line in this process; return its status and the lines on both outputs."""
    monkeypatch.setattr(sys, "argv", ["tfclass", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    return ended.value.code or 0, out.splitlines(), err.splitlines()


# What would be read, unpacked, parsed or allocated whole.
LARGE = [name for name in CASES if any(word in name for word in ("iB", "bomb", "million", "000", "link", "states"))]


# In the quick tests `test_little_memory_is_used` loads the large ones, and reads the same line.
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in LARGE else []) for case in CASES]
)
def test_it_is_refused_in_one_line(case, folder, tmp_path, demo_table, capfd, monkeypatch):
    harm, name, said = CASES[case]
    harm(folder)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.fasta").write_text(">a\nMKVLAWWCHHC\n")
    commands = (
        ("model", "verify", folder),
        ("model", "show", folder),
        ("predict", "in.fasta", "--model", folder),
    )
    # All of them load it in the same way, and to load a large one takes a second.
    for arguments in commands[:1] if case in LARGE else commands:
        status, out, err = run(capfd, monkeypatch, *arguments)
        assert (status, out, len(err)) == (2, [], 1), err
        assert err[0].startswith(f"tfclass: {folder / name}{said}")
        assert len(err[0]) < 1000
    corpus, report = CorpusConfig.default(path=str(demo_table)), tmp_path / "report"
    config = EvaluateConfig.default(
        corpus=corpus, bundle=str(folder), report=str(report), tracking=TrackingConfig.default(enabled=False)
    )
    with pytest.raises(BundleError) as caught:
        evaluate_bundle(config)
    assert err == [f"tfclass: {caught.value}"]
    assert not report.exists()


def test_evaluate_refuses_it_in_the_same_line(folder, tmp_path, demo_table, capfd, monkeypatch):
    harm, name, said = CASES["weights: NaN"]
    harm(folder)
    monkeypatch.chdir(tmp_path)
    arguments = (f"bundle='{folder}'", f"corpus.path='{demo_table}'", "report=report", "tracking.enabled=false")
    status, out, err = run(capfd, monkeypatch, "evaluate", *arguments)
    assert (status, out, len(err)) == (2, [], 1), err
    assert err[0].startswith(f"tfclass: {folder / name}{said}")
    assert not (tmp_path / "report").exists()


def _refusal(folder, receiver):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        load_bundle(folder)
    except BundleError as error:
        receiver.send((str(error), before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


@pytest.mark.parametrize("case", LARGE)
def test_little_memory_is_used(case, folder, processes):
    harm, name, said = CASES[case]
    harm(folder)
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=_refusal, args=(folder, sender))
    process.start()
    sender.close()
    assert receiver.poll(30)
    message, before, most = receiver.recv()
    process.join()
    assert message.startswith(f"{folder / name}{said}")
    assert "\n" not in message
    assert len(message) < 1000
    # In kibibytes; this process had more imported than the command line has, so only what was added counts.
    assert (most - before) / 1024 < 250


@pytest.mark.slow
@pytest.mark.parametrize("case", ["profiles: zstd bomb", "reference: 40 million numbers", "weights: 500 MiB"])
def test_the_whole_command_stays_below_600_mebibytes(case, folder):
    harm, name, said = CASES[case]
    harm(folder)
    # What a process has used at most, by Linux's count, which begins anew with the program.
    most = "import atexit; atexit.register(lambda: print(open('/proc/self/status').read()))"
    code = f"{most}; from tfclass.cli.app import main; main()"
    command = [sys.executable, "-c", code, "model", "verify", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"tfclass: {folder / name}{said}")
    [used] = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("VmHWM:")]
    assert int(used) / 1024 < 600


def test_a_link_to_the_folder_is_as_good_as_the_folder(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert load_bundle(tmp_path / "link").digest == load_bundle(folder).digest


def test_a_network_that_computes_no_number_is_refused(folder, tmp_path, capfd, monkeypatch):
    def enlarge(tensors):
        for name, tensor in tensors.items():
            if name.startswith("head."):
                tensors[name] = torch.full_like(tensor, 3e38)

    weights(enlarge)(folder)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.fasta").write_text(">a\nMKVLAWWCHHC\n")
    status, out, err = run(capfd, monkeypatch, "predict", "in.fasta", "--model", folder, "--channel", "network")
    assert (status, out) == (2, [])
    assert err == ["tfclass: with_homology: the network's output is not a number; train it again"]


@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [20, 100, 200])
def test_too_little_memory_is_no_part_that_does_not_fit(mebibytes, small_bundle, tmp_path):
    config = replace(small_bundle.config, hidden=1_500)
    network = build(config, small_bundle.alphabet, 2)
    save_bundle(replace(small_bundle, config=config, model=network), tmp_path / "wide", "# wide\n")
    code = (
        "import resource; from pathlib import Path; from tfclass.bundle.bundle import load_bundle\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        f"resource.setrlimit(resource.RLIMIT_AS, 2 * (pages * resource.getpagesize() + ({mebibytes} << 20),))\n"
        f"load_bundle(Path({str(tmp_path / 'wide')!r}))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    said = "found a model that needs more memory than there is; free memory, or use a machine with more"
    assert done.stderr.splitlines()[-1] == f"tfclass.errors.BundleError: {tmp_path / 'wide'}: {said}"


def test_a_card_is_shown_without_what_a_terminal_obeys(folder, capfd, monkeypatch):
    harmed(CARD, "# card\n\x1b[2J\x9b\u202e\tname\r\n".encode())(folder)
    status, out, err = run(capfd, monkeypatch, "model", "show", folder)
    assert (status, out[:2], err) == (0, ["# card", "\\x1b[2J\\x9b\\u202e\tname\\r"], [])


def test_ids_of_a_reference_are_shown_without_what_a_terminal_obeys(
    with_homology, folder, tmp_path, capfd, monkeypatch
):
    sequence = with_homology.alphabet.decode(with_homology.channels["homology"].tokens[0])
    harmed(REFERENCE, proteins(("a\x1b[2J\nb", "TF", sequence)))(folder)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.fasta").write_text(f">a\n{sequence}\n")
    status, out, _ = run(capfd, monkeypatch, "predict", "in.fasta", "--model", folder, "--channel", "homology")
    row = dict(zip(*(line.split("\t") for line in out), strict=True))
    assert (status, row["homologue"]) == (0, "a\\x1b[2J b")


def test_names_that_cannot_be_shown_are_not_saved(small_bundle, tmp_path):
    for values in ({"name": "a\nb"}, {"classes": ("nonTF", "T\x1bF")}):
        with pytest.raises(BundleError, match="control characters"):
            save_bundle(replace(small_bundle, **values), tmp_path / "b", "card")
    assert list(tmp_path.iterdir()) == []


def flipped(content, chance):
    """Change a few bytes, or a stretch of them, or take some out."""
    content = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        place = chance.randrange(len(content))
        kind = chance.randrange(5)
        if kind == 0:
            content[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            content[place : place + 4] = struct.pack(
                "=I", chance.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 255, 65_536])
            )
        elif kind == 2:
            length = chance.randrange(1, 200)
            content[place : place + length] = chance.randbytes(length)
        elif kind == 3:
            del content[place : place + chance.randrange(1, 100)]
        else:
            content[place : place + 4] = struct.pack("=f", chance.choice([float("nan"), float("inf"), -1.0, 1e30, 0.0]))
    return bytes(content)


def _read_and_search(contents, sender):
    tokens = [Alphabet().encode("MKRKYCPECGKSFSRSDHLARHIRTHTGEKPYKCPECGKSFSRSDHLARHIRTH")]
    for content in contents:
        try:
            Library.from_bytes(content, "there").search(tokens, Alphabet())
            sender.send(True)
        except ProfileError as error:
            sender.send("\n" in str(error) or None)
    sender.close()


@pytest.mark.parametrize("form", ["binary", "text"])
def test_profiles_are_read_or_refused_whatever_is_in_them(form, with_homology_folder, processes):
    whole = unpacked((with_homology_folder / PROFILES).read_bytes(), 1 << 27)
    # The first profile alone: there, more than a number among thousands is hit.
    whole = whole[: whole.index(whole[:4], 4)]
    chance = random.Random(form)
    contents = [flipped(as_text(whole) if form == "text" else whole, chance) for _ in range(400)]
    contents += [content[: chance.randrange(len(content))] for content in contents[:50]]
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=_read_and_search, args=(contents, sender))
    process.start()
    sender.close()
    outcomes = []
    with contextlib.suppress(EOFError):
        while receiver.poll(60):
            outcomes.append(receiver.recv())
    process.join(10)
    assert (process.exitcode, len(outcomes)) == (0, len(contents))
    assert outcomes.count(None) > 200
    assert outcomes.count(True) + outcomes.count(None) == len(contents)
