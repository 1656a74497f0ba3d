"""Overrides as a user types them: text of any kind gets through, and what cannot is shown as it must be written."""

import json
import shlex
import shutil

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from tfclass.cli.typed_overrides import typed
from tfclass.config import SweepConfig, TrainConfig
from tfclass.errors import ConfigError
from tfclass.overrides import for_hydra, override

UNREADABLE = "which Hydra cannot read as it is"
SEVERAL = "expected one; add -m to run once for each"
ODD = "ü b=#,[c]{d}'e\"f$g%h:i;j&k"
QUICK = [
    *("corpus=table", "training.epochs=1", "model.hidden=6", "model.embedding_dim=8", "model.stem.channels=8"),
    *("tracking=off", "runtime.device=cpu", "runtime.threads=1"),
]


def read_by_hydra(text):
    config = OmegaConf.create({})
    OmegaConf.update(config, "key", OverridesParser.create().parse_override(f"key={text}").value())
    return OmegaConf.to_container(config, resolve=True)["key"]  # type: ignore[index, call-overload]


@given(st.text(st.sampled_from("\\\"'${}aü =#,[]:%\n1.!?*()~&|") | st.characters(exclude_categories=["Cs"])))
def test_hydra_reads_any_text_as_it_was_written(text):
    # Three question marks are Hydra's own sign for a missing value.
    if text != "???":
        assert read_by_hydra(for_hydra(text)) == text


def test_an_override_is_one_word_for_a_shell():
    (word,) = shlex.split(override("corpus.path", ODD))
    assert read_by_hydra(word.partition("=")[2]) == ODD


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("corpus.aliases={yes:TF, no : nonTF}", ["++corpus.aliases.yes=TF", "++corpus.aliases.no=nonTF"]),
        ("corpus.aliases={1:TF,0:nonTF}", ["++corpus.aliases.1=TF", "++corpus.aliases.0=nonTF"]),
        ("corpus.aliases.yes=TF", ["++corpus.aliases.yes=TF"]),
        ("+corpus.aliases.yes=TF", ["++corpus.aliases.yes=TF"]),
        ("corpus.aliases={not TF:nonTF}", ["++corpus.aliases={not TF:nonTF}"]),
        ("~corpus.aliases.nonTF_hard", ["~corpus.aliases.nonTF_hard"]),
        ("corpus.classes=[0,1]", ["corpus.classes=['0','1']"]),
        ("corpus.classes=[FALSE, TRUE]", ["corpus.classes=['FALSE', 'TRUE']"]),
        ("corpus.classes=[1.50,'2, 3',null]", ["corpus.classes=['1.50','2, 3',null]"]),
        ("corpus.classes=null", ["corpus.classes=null"]),
        ("model.families=[1,x]", ["model.families=['1',x]"]),
        ("name=2024", ["name='2024'"]),
        ("name=run 2024", ["name=run 2024"]),
        ("corpus.name=10:30", ["corpus.name=10:30"]),
        ("training.epochs=3", ["training.epochs=3"]),
        ("model=gru", ["model=gru"]),
    ],
    ids=str,
)
def test_text_stays_text_and_names_of_ones_own_need_no_plus(argument, words):
    assert typed([argument], TrainConfig) == words
    assert typed(words, TrainConfig) == words


def test_every_mapping_of_a_configuration_takes_new_keys():
    space = "study.space.model.layers={low:1,high:3}"
    assert typed([space, "~study.space.training"], SweepConfig) == [f"++{space}", "~study.space.training"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("~training.epochs", "training.epochs: found a deletion (~training.epochs); expected training.epochs=VALUE; "),
        ("~model", "model: found a deletion (~model); expected model=VALUE; leave ~model out to keep the default"),
        ("~corpus.aliases", "corpus.aliases: found a deletion"),
        ("corpus.path=ä.tsv", f"corpus.path: found 'ä.tsv', {UNREADABLE}; write 'corpus.path=\"ä.tsv\"'"),
        (
            "corpus.path=a,b.tsv",
            "corpus.path: found several values (a,b.tsv); expected one; write 'corpus.path=\"a,b.tsv\"'",
        ),
        ("corpus.classes=no,yes", "corpus.classes: found several values (no,yes); expected one; write "),
        ("corpus.classes=[nein,möglich]", f"corpus.classes: found '[nein,möglich]', {UNREADABLE}; write "),
        ("corpus.aliases={ja:möglich}", f"corpus.aliases.ja: found 'möglich', {UNREADABLE}; write "),
        ("corpus.aliases={möglich:TF}", f"corpus.aliases: found '{{möglich:TF}}', {UNREADABLE}; write "),
        ("corpus.ä=3", "corpus.ä: found a key that Hydra cannot read"),
        ("training.epochs=1,2", f"training.epochs: found several values (1,2); {SEVERAL}"),
        ("corpus=[1]", "corpus: found [1]; expected one name of a file in conf/corpus"),
        ("=3", "'=3': found no key; expected KEY=VALUE"),
    ],
    ids=lambda part: part.split(":")[0],
)
def test_what_cannot_be_read_is_named_by_its_key_with_what_to_write(argument, message):
    with pytest.raises(ConfigError) as raised:
        typed([argument], TrainConfig)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    "name", ["ä.tsv", "a b=c.tsv", "it's.tsv", 'a"b.tsv', "a,b.tsv", "[a]{b}.tsv", "a#b$c%d:e.tsv", "${x}.tsv"]
)
def test_the_override_that_the_message_shows_is_understood(tfclass, name):
    refused = tfclass("train", f"corpus.path={name}", "tracking=off")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    shown = refused.err[refused.err.index("write ") + 6 :].removesuffix(", or add -m to run once for each\n")
    understood = tfclass("train", *shlex.split(shown), "tracking=off")
    assert understood.err == f"tfclass: {name}: no such file; check the path\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["~foo.bar"], "foo.bar: unknown option; expected one of corpus, split, evaluation, tracking"),
        (["~corpus.aliases.nope"], "corpus.aliases.nope: no such key; see tfclass train --cfg job"),
        (["tracking={enabled:false,foo:1}"], "tracking: unknown option in its value; expected enabled"),
        (["corpus.aliases=[1]"], "corpus.aliases: found [1]; expected keys and their values"),
        (["model=ü"], "model: found 'ü'; expected one of bilstm, bilstm_residues"),
        (["training.epochs=["], "training.epochs: found '['; expected a valid integer"),
    ],
    ids=str,
)
def test_a_key_that_is_not_there_is_named(tfclass, arguments, message):
    refused = tfclass("train", *arguments)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert refused.err.startswith(f"tfclass: {message}")


@pytest.fixture
def labelled(demo_table, tmp_path):
    """Write the demo table with other labels, into a folder with an odd name."""

    def write(negative, positive):
        folder = tmp_path / ODD
        folder.mkdir(exist_ok=True)
        lines = [line.split("\t") for line in demo_table.read_text().splitlines()]
        place = lines[0].index("label")
        for line in lines[1:]:
            line[place] = positive if line[place] == "TF" else negative
        (folder / "labels.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
        return folder

    return write


@pytest.mark.parametrize(
    ("labels", "options", "classes"),
    [
        (("no", "yes"), ["corpus.aliases={yes:TF,no:nonTF}"], ["nonTF", "TF"]),
        (("0", "1"), ["corpus.classes=[0,1]"], ["0", "1"]),
        (("FALSE", "TRUE"), ["corpus.classes=[FALSE,TRUE]"], ["FALSE", "TRUE"]),
        (("0", "1"), ["corpus.aliases={1:TF,0:nonTF}"], ["nonTF", "TF"]),
    ],
    ids=lambda part: " ".join(part),
)
def test_labels_of_ones_own_train(tfclass, labelled, labels, options, classes):
    folder = labelled(*labels)
    trained = tfclass("train", "corpus.path=labels.tsv", *options, *QUICK, "bundle=model", cwd=folder)
    assert trained.status == 0, trained.err
    assert json.loads((folder / "model" / "bundle.json").read_text())["classes"] == classes


def test_folders_of_any_name_hold_runs_bundles_and_reports(tfclass, labelled):
    folder = labelled("nonTF", "TF")
    shutil.move(folder / "labels.tsv", folder / f"{ODD}.tsv")
    names = {"corpus.path": f"{ODD}.tsv", "corpus.name": "ü [1]", "run_dir": f"run {ODD}", "bundle": f"model {ODD}"}
    trained = tfclass("train", *QUICK, *(f"{key}={for_hydra(name)}" for key, name in names.items()), cwd=folder)
    assert trained.status == 0, trained.err
    named = [f"{key}={for_hydra(names[key])}" for key in ("corpus.path", "corpus.name", "bundle")]
    report = f"report={for_hydra(f'report {ODD}')}"
    evaluate = ["evaluate", "corpus=table", *named, report, "tracking=off", "evaluation.n_bootstrap=10"]
    evaluate += ["evaluation.baselines=false"]
    assert tfclass(*evaluate, cwd=folder).status == 0
    command = json.loads((folder / f"report {ODD}" / "report.json").read_text())["command"]
    again = tfclass(*shlex.split(command)[1:], cwd=folder)
    assert again.status == 0, again.err
    resumed = tfclass("train", f"resume={for_hydra(f'run {ODD}')}", cwd=folder)
    assert resumed.status == 0, resumed.err
