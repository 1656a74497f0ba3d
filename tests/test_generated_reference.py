"""The generated reference lists and describes every command, option and configuration key."""

import re
from operator import attrgetter

import pytest
import typer

from docs import generated
from tests.test_config import composed
from tfclass.cli.app import app
from tfclass.config import TrainConfig, fields

ROW = re.compile(r"^\| `([\w.]+)` \| (.+?) \| (.+?) \| (.*) \|$", re.M)


def options_of(command, path):
    """Every command by its words, with the options that its help has."""
    if hasattr(command, "list_commands"):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from options_of(command.get_command(context, name), [*path, name])
    else:
        shown = (each.opts[0] for each in command.params if each.param_type_name == "option" and not each.hidden)
        yield " ".join(path), [option for option in shown if option != "--help"]


def test_every_command_and_option_is_there_once():
    sections = re.split(r"^#+ (tfclass .*)$", generated.commands(), flags=re.M)
    texts = dict(zip(sections[1::2], sections[2::2], strict=True))
    found = dict(options_of(typer.main.get_command(app), ["tfclass"]))
    assert {"tfclass predict", "tfclass data split", "tfclass train"} <= set(found) <= set(texts)
    for command, options in found.items():
        assert [option for option in options if texts[command].count(f"{option}") == 0] == []


@pytest.fixture(scope="module")
def rows():
    return {key: cells for key, *cells in ROW.findall(generated.configuration())}


def test_every_key_of_a_training_has_its_values_its_default_and_a_meaning(rows):
    def keys(kind, path=""):
        for each in fields(kind):
            nested = isinstance(each.type, type) and hasattr(each.type, "default")
            yield from keys(each.type, f"{path}{each.name}.") if nested else [f"{path}{each.name}"]

    assert set(keys(TrainConfig)) <= set(rows)
    assert [key for key, cells in rows.items() if not all(cells)] == []


def test_defaults_are_those_that_a_user_gets(rows):
    config = composed("train", TrainConfig, "corpus=table", "corpus.path=x.tsv")
    for key, value in (("training.epochs", 20), ("model.stem.pool", 3), ("training.calibration.method", "auto")):
        assert attrgetter(key)(config) == value
        assert rows[key][1] == f"`{value}`"
    assert rows["runtime.seed"][1] == "`0`"
    assert rows["split.valid"][0] == "number > 0 < 0.5"
    assert rows["model.directions"][0] == "`1`, `2` or `null`"
