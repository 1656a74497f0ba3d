"""Every configuration file that ships composes and is accepted; wrong ones are named by key."""

import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf, open_dict

from tests.conftest import SMALL
from tfclass.config import (
    CompareConfig,
    CorpusConfig,
    EvaluateConfig,
    EvaluationConfig,
    ModelConfig,
    RuntimeConfig,
    SplitConfig,
    StemConfig,
    SweepConfig,
    TrainConfig,
    TrainingConfig,
    from_mapping,
    to_mapping,
)
from tfclass.config_errors import unknown_option
from tfclass.errors import ConfigError
from tfclass.models.factory import build, network_config
from tfclass.sequences.alphabet import Alphabet

CONF = Path(__file__).parents[1] / "conf"
# What a study searches is tested with the sweeps.
# Those of `tfclass data` and `tfclass sweep` are no part of a training.
OTHER_GROUPS = ("curation", "study")
GROUPS = sorted(
    path.name
    for path in CONF.iterdir()
    if path.is_dir() and not path.name.startswith("_") and path.name not in OTHER_GROUPS
)
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]


def composed(name, kind, *overrides, keep=()):
    with initialize_config_module("tfclass.conf", version_base="1.3"):
        config = compose(name, list(overrides))
    with open_dict(config):
        for key in ("run_dir", "report", "name", "network"):
            if key in config and key not in keep:
                config[key] = "somewhere"
    return from_mapping(kind, OmegaConf.to_container(config, resolve=True, throw_on_missing=True))  # type: ignore[arg-type]


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda part: part)
def test_every_file_that_ships_trains(group, option):
    needed = ["corpus.path=x.tsv"] if option in ("table", "rival") else []
    config = composed("train", TrainConfig, f"{group}={option}", *needed)
    build(config.model, Alphabet(), 2)
    assert to_mapping(config)["run_dir"] == "somewhere"


@pytest.mark.parametrize("network", sorted(path.stem for path in (CONF / "model").glob("*.yaml")))
def test_a_network_by_its_name_is_what_hydra_composes(network):
    assert network_config(network) == composed("train", TrainConfig, f"model={network}", "corpus=demo").model


@pytest.mark.parametrize(("given", "name"), [([], "tf-bilstm"), (["name=mine"], "mine")])
@pytest.mark.parametrize("experiment", ["pretrained", "pretrained_start"])
def test_an_experiment_names_what_it_makes_and_the_command_line_has_the_last_word(given, name, experiment):
    overrides = [f"hydra.searchpath=[file://{CONF.parent}/recipes/tf-bilstm]", f"experiment={experiment}", *given]
    config = composed("train", TrainConfig, *overrides, "corpus.path=x.tsv", keep=["name"])
    assert config.name == name + "-start" * (experiment == "pretrained_start" and not given)
    build(config.model, Alphabet(), 2)


def test_every_file_that_ships_evaluates_where_it_applies():
    for group, option in OPTIONS:
        if group in ("corpus", "split", "evaluation", "tracking", "runtime"):
            overrides = [f"{group}={option}", "bundle=b", "corpus.path=x.tsv"]
            assert composed("evaluate", EvaluateConfig, *overrides).bundle == "b"


COMMANDS = {"train": TrainConfig, "sweep": SweepConfig, "evaluate": EvaluateConfig, "compare": CompareConfig}


@pytest.mark.parametrize(("name", "kind"), COMMANDS.items())
def test_the_default_configuration_is_that_of_the_command(name, kind):
    places = {key: "somewhere" for key in ("run_dir", "report", "name", "network") if key in kind.__dataclass_fields__}
    corpus = CorpusConfig.default(path="x.tsv")
    places |= {"corpus": corpus} if "corpus" in kind.__dataclass_fields__ else {}
    places |= {"bundle": "b"} if name == "evaluate" else {}
    overrides = ["corpus=table", "corpus.path=x.tsv"] if "corpus" in places else []
    overrides += ["bundle=b"] if name == "evaluate" else []
    assert composed(name, kind, *overrides) == kind.default(**places)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hiden": 3}, "model.hiden: unknown option; did you mean hidden?"),
        ({"hidden": 0}, "model.hidden: found 0; expected greater than or equal to 1"),
        ({"hidden": "many"}, "model.hidden: found 'many'; expected a valid integer"),
        ({"dropout": 1.0}, "model.dropout: found 1.0; expected less than 1"),
        ({"stem": {"name": "conv"}}, "model.stem.name: found 'conv'; expected 'none', 'convolution' or"),
        (
            {"stem": {"width": 3}},
            "model.stem.width: unknown option; expected one of name, channels, kernel, stacks",
        ),
        ({"attention_hidden": -1}, "model.attention_hidden: found -1; expected greater than or equal to 0"),
    ],
    ids=["unknown option", "out of range", "not a number", "dropout of one", "not a choice", "unknown option below"]
    + ["a negative width"],
)
def test_a_wrong_value_is_named_by_its_whole_path(values, message):
    with pytest.raises(ConfigError) as raised:
        from_mapping(ModelConfig, to_mapping(ModelConfig.default()) | values, where="model")
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("trainer.epochs", "trainer.epochs: unknown option; did you mean training?"),
        ("training.epoch", "training.epoch: unknown option; did you mean epochs?"),
        ("foo.bar", "foo.bar: unknown option; expected one of corpus, split, evaluation, tracking, runtime, model"),
    ],
)
def test_an_unknown_option_is_named_with_the_nearest_or_all_of_its_group(path, message):
    assert unknown_option(TrainConfig, path).startswith(message)


def test_a_configuration_survives_json_and_cannot_be_changed():
    again = from_mapping(ModelConfig, json.loads(json.dumps(to_mapping(SMALL))))
    assert again == SMALL
    with pytest.raises(FrozenInstanceError):
        again.hidden = 3  # type: ignore[misc]
    assert StemConfig.default().kernel == 11


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (RuntimeConfig, {"seed": -1}, "seed: found -1; expected greater than or equal to 0"),
        (SplitConfig, {"seed": -1}, "seed: found -1; expected greater than or equal to 0"),
        (TrainingConfig, {"calibration": {"seed": -1}}, "calibration.seed: found -1; expected greater than or equal"),
        (ModelConfig, {"forget_bias": float("inf")}, "forget_bias: found inf; expected a finite number"),
        (EvaluationConfig, ["seed"], r"configuration: found \['seed'\]; expected keys and their values"),
        (EvaluationConfig, None, "configuration: found None; expected keys and their values"),
    ],
)
def test_what_nothing_could_be_done_with_is_refused_at_once(kind, values, message):
    with pytest.raises(ConfigError, match=message):
        from_mapping(kind, values)


@pytest.mark.parametrize(
    "key",
    ["corpus.path", "training.init_from", "tracking.uri", "run_dir", "bundle", "resume", "report", "report of two"],
)
def test_a_path_with_a_null_character_is_refused_by_name(key):
    kind = {"report": EvaluateConfig, "report of two": CompareConfig}.get(key, TrainConfig)
    key = key.removesuffix(" of two")
    values = {"corpus": {"path": "a.tsv"}, "run_dir": "run", "bundle": "b", "report": "r"}
    known = [field for field in kind.__dataclass_fields__ if field in values]
    values = OmegaConf.create({field: values[field] for field in known})
    OmegaConf.update(values, key, "a\0b")
    with pytest.raises(ConfigError) as caught:
        from_mapping(kind, OmegaConf.to_container(values))
    assert str(caught.value) == f"{key}: found 'a\\x00b'; expected a path without null characters"


@pytest.mark.parametrize("kind", [TrainConfig, SweepConfig])
def test_an_empty_run_dir_is_refused(kind):
    values = {"corpus": {"path": "a.tsv"}, "run_dir": ""}
    values |= {"study": {"name": "s", "space": {}}} if kind is SweepConfig else {}
    with pytest.raises(ConfigError, match=r"^run_dir: found ''; expected the name of a folder$"):
        from_mapping(kind, values)
