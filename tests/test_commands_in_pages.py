"""Commands in the README and the documentation: all can be understood, and those that a newcomer types are run."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.test_config import composed
from tfclass.cli.app import app
from tfclass.config import EvaluateConfig, SweepConfig, TrainConfig
from tfclass.data.demo import generate_demo

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(path for path in ROOT.glob("docs/**/*.md") if "_build" not in path.parts)]
EXAMPLES = ROOT / "data" / "examples"
# Few clusters, one epoch, no store: the commands are tried here, and not what they learn.
QUICK = {
    "train": ("training.epochs=1", "model.hidden=4", "tracking=off", "runtime.device=cpu"),
    "evaluate": ("evaluation.n_bootstrap=10", "tracking=off", "runtime.device=cpu"),
}
# tests/packaging installs it, .ci/run runs `make test`, tests/tracking the UI; `make demo` is below, and a smaller
# corpus takes the place of the generated one.
ELSEWHERE = ("pip install", "make ", "tfclass ui", "tfclass data demo")
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.M | re.S)
KINDS = {"train": TrainConfig, "evaluate": EvaluateConfig, "sweep": SweepConfig}
# Options of Hydra itself, and several values at once, are for the command line alone.
BEYOND_COMPOSE = {"-m", "--config-dir", "compare"}


def lines_of(page):
    """Each line of a page's shell blocks, continued ones joined, without comments."""
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if "<<" not in block:
            yield from (re.sub(r"(^|\s)#.*", "", line).strip() for line in block.replace("\\\n", " ").splitlines())


def commands_of(page):
    """The arguments of every tfclass command in a page, but for those that are cut short."""
    for line in lines_of(page):
        for part in re.split(r"\s[|;]\s|&&", line):
            # Variables may be set ahead of the command.
            if (
                command := re.fullmatch(r"(?:\w+=\S* |time )*tfclass (.+?)(?: > .*)?", part.strip())
            ) and "..." not in part:
                yield shlex.split(command[1])


COMMANDS = {" ".join(words): words for page in PAGES for words in commands_of(page)}


@pytest.fixture(scope="module")
def group():
    return typer.main.get_command(app)


@pytest.mark.parametrize("text", [text for text in sorted(COMMANDS) if text.split()[0] in KINDS])
def test_options_of_a_training_or_evaluation_in_the_pages_are_known(text):
    verb, *overrides = COMMANDS[text]
    if BEYOND_COMPOSE.intersection(overrides):
        assert OverridesParser.create().parse_overrides([word for word in overrides if "=" in word]) or "=" not in text
        return
    needed = ["bundle=x"] if verb == "evaluate" and "bundle=" not in text else []
    composed(verb, KINDS[verb], *overrides, *needed)


@pytest.mark.parametrize("text", [text for text in sorted(COMMANDS) if text.split()[0] not in KINDS])
def test_options_of_a_command_in_the_pages_are_known(text, group):
    words = [word for word in COMMANDS[text] if word != "--debug"]
    command = group
    while hasattr(command, "list_commands") and not words[0].startswith("--"):
        name = words.pop(0)
        command = command.get_command(typer.Context(command), name)
        assert command, f"no command {name}"
    # Parsed otherwise, an option of the whole program is followed at once.
    assert command.make_context("tfclass", words, resilient_parsing=command is group)


def test_the_pages_have_commands_of_every_verb(group):
    verbs = {words[0] for words in COMMANDS.values()}
    assert verbs >= set(group.list_commands(typer.Context(group)))


@pytest.fixture
def here(tmp_path):
    """A folder with what the pages read: the examples, a proteome and its genome, labelled proteins."""
    shutil.copytree(EXAMPLES, tmp_path / "data" / "examples")
    for name in ("proteome", "borderline"):
        shutil.copy(EXAMPLES / "proteins.fasta", tmp_path / f"{name}.fasta")
    shutil.copy(EXAMPLES / "genome.gff3", tmp_path)
    demo = generate_demo(n_clusters=60)
    demo.to_csv(tmp_path / "demo.tsv", sep="\t", index=False)
    for label, name in (("TF", "tf"), ("nonTF", "other")):
        proteins = demo[demo["label"] == label]
        records = (
            f">{protein}\n{sequence}\n" for protein, sequence in zip(proteins["id"], proteins["sequence"], strict=True)
        )
        (tmp_path / f"{name}.fasta").write_text("".join(records))
    return tmp_path


@pytest.fixture
def run(tfclass, here):
    """Run a line of a page, with less training; return what it prints."""

    def run_line(line):
        words = shlex.split(line, comments=True)
        if words[0] != "tfclass":
            return subprocess.run(line, shell=True, cwd=here, check=True, capture_output=True, text=True).stdout
        done = tfclass(*words[1:], *QUICK.get(words[1], ()))
        assert done.status == 0, f"{line}: {done.err}"
        return done.out

    return run_line


def test_the_first_prediction_of_the_readme_prints_what_it_says(run):
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    section = page[page.index("## Predict in 30 seconds") :]
    first, then = re.search(BLOCK, section)[1].splitlines()
    run(first)
    said = re.search(r"```text\n(.*?)```", section, re.S)[1]
    assert [line.split("\t") for line in run(then).splitlines()] == [
        [*words, *[""] * (6 - len(words))] for words in map(str.split, said.splitlines())
    ]


def test_the_gene_of_the_example_is_where_the_page_about_formats_says(run, here):
    page = (ROOT / "docs" / "reference" / "formats.md").read_text(encoding="utf-8")
    section = page[page.index("## On the genome") :]
    command = re.search(BLOCK, section)[1]
    run(command.replace("proteins.fasta", "proteome.fasta"))
    written = (here / "tf.gff3").read_text()
    for line in re.search(r"```text\n(.*?)```", section, re.S)[1].splitlines():
        start = line if line.startswith("##") else "\t".join(line.removesuffix("...").split())
        assert f"\n{start}" in written


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/tutorials/{name}.md" for name in ("first-prediction", "your-own-model", "genome"))]
)
def test_every_command_for_newcomers_runs(page, run):
    lines = [line for line in lines_of(ROOT / page) if line and not line.startswith(ELSEWHERE)]
    assert len(lines) > 3
    for line in lines:
        run(line)


@pytest.mark.slow
def test_what_make_demo_runs_ends_in_predictions(run):
    arguments = (f"{name}_ARGS={' '.join(QUICK[verb])}" for name, verb in (("TRAIN", "train"), ("EVAL", "evaluate")))
    planned = subprocess.run(
        ["make", "-n", "demo", "VENV=none", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.replace("\\\n", " ")
    commands = [line for line in planned.splitlines() if line.startswith(("none/bin/tfclass", "awk"))]
    printed = [run(command.replace("none/bin/", "")) for command in commands]
    assert "GCN4_YEAST\t281\tTF" in printed[-1]
    assert re.search(r"^demo\d+_(TF|nonTF)\t", printed[-2], re.M)
