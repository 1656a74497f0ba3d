"""Configuration: a frozen dataclass for each group of ``conf/``, whose files have the defaults and explain each key.

Nothing here knows Hydra: the same classes are built from the JSON in a bundle, so a model never needs Hydra to be
loaded. Networks are chosen by name, never by a class path, so a configuration cannot call code.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from typing_extensions import dataclass_transform

from tfclass.errors import ConfigError
from tfclass.limits import MAX_FAMILIES, MAX_LAYERS
from tfclass.typing import (
    CountEdges,
    FolderText,
    Fraction,
    Names,
    Natural,
    NonNegative,
    PathText,
    Positive,
    Rate,
    Seed,
    ShareEdges,
    Span,
    Stack,
    Text,
)

T = TypeVar("T")
C = TypeVar("C", bound="Config")


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Config:
    """Base of all configurations; `file` in ``conf/``, at `key`, has the defaults and explains them."""

    def __init_subclass__(cls, file: str = "", key: str = "") -> None:
        cls._file, cls._key = file, key
        dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))(cls)

    @classmethod
    def default(cls: type[C], **changes: Any) -> C:  # noqa: ANN401
        """Return the default values with some changes; what only Hydra fills in (``run_dir``) is needed among them."""
        content, values = file_values(cls._file, cls._key), {}
        for each in fields(cls):  # type: ignore[arg-type]
            value = content.get(each.name, "???")
            if value != "???":
                values[each.name] = "" if str(value).startswith("${") else value
            elif each.name not in changes and isinstance(each.type, type) and issubclass(each.type, Config):
                values[each.name] = each.type.default()
        return cls(**(values | changes))


@cache
def file_values(file: str, key: str = "") -> dict[str, Any]:
    """Read a file of ``conf/``, named without its ending, at a key; not to be changed."""
    import yaml

    content = yaml.safe_load((files("tfclass.conf") / f"{file}.yaml").read_bytes())
    return content[key] if key else content


class CorpusConfig(Config, file="corpus/table"):
    """The table of labelled proteins and its classes."""

    path: PathText
    name: Annotated[Text, Field(max_length=150)]
    classes: Names | None
    aliases: dict[str, str]


class SplitConfig(Config, file="split/column"):
    """The division of proteins into train, valid and test."""

    policy: Literal["column", "cluster", "folds", "random"]
    valid: Annotated[float, Field(gt=0.0, lt=0.5)]
    test: Annotated[float, Field(gt=0.0, lt=0.5)]
    folds: Annotated[int, Field(ge=3, le=100)]
    fold: Natural
    max_members: Positive | None
    seed: Seed

    def __post_init__(self) -> None:
        if self.fold >= self.folds:
            raise ConfigError(f"split.fold: found {self.fold}; expected 0 to {self.folds - 1}, as split.folds says")
        if self.max_members is not None and self.policy in ("column", "random"):
            raise ConfigError(
                f"split.max_members: found {self.max_members} with split.policy={self.policy}; "
                "expected null: only the policies cluster and folds thin clusters out"
            )


class StemConfig(Config, file="model/bilstm", key="stem"):
    """The stem between the embedding and the encoder: none, a convolution, or parallel stacks of them."""

    name: Literal["none", "convolution", "stacks"]
    channels: Positive
    kernel: Span
    stacks: Annotated[tuple[Stack, ...], Field(max_length=100)]
    pool: Span


class ModelConfig(Config, file="model/bilstm"):
    """The network, by names and numbers; the names are resolved in `tfclass.models.factory`."""

    encoder: str
    embedding: str
    embedding_dim: Positive
    kmer: Annotated[int, Field(ge=1, le=4)]
    stem: StemConfig
    hidden: Positive
    layers: Annotated[int, Field(ge=1, le=MAX_LAYERS)]
    directions: Literal[1, 2] | None
    peephole: Literal["diagonal", "full"]
    forget_bias: Annotated[float, Field(ge=-1e38, le=1e38, allow_inf_nan=False)] | None
    residual: bool
    layer_norm: bool
    variational_dropout: bool
    weight_dropout: Fraction
    pooling: str
    attention_hidden: Natural | None
    head_hidden: Natural
    dropout: Fraction
    families: Annotated[tuple[Text, ...], Field(max_length=MAX_FAMILIES)]
    domains: bool


class SkipgramConfig(Config, file="training/default", key="skipgram"):
    """Pretraining of the k-mer vectors of ``model.embedding=skipgram``."""

    window: Positive
    negative_weight: Rate
    pairs: Positive
    learning_rate: Rate


class CalibrationConfig(Config, file="training/default", key="calibration"):
    """Calibration of logits to probabilities; ``auto`` chooses by cross-validation over validation clusters."""

    method: Literal["auto", "none", "temperature", "platt", "isotonic"]
    folds: Annotated[int, Field(ge=2, le=1000)]
    seed: Seed


class TrainingConfig(Config, file="training/default"):
    """Training of the network."""

    epochs: Positive
    minutes: Rate | None
    max_residues: Positive
    learning_rate: Rate
    warmup_epochs: NonNegative
    weight_decay: NonNegative
    clip_norm: Rate
    class_weight: Literal["none", "balanced"]
    family_weight: NonNegative
    domain_weight: NonNegative
    residue_dropout: Fraction
    residue_substitution: Fraction
    patience: Positive
    amp: Literal["never", "gpu", "always"]
    checkpoint_minutes: NonNegative
    init_from: PathText
    skipgram: SkipgramConfig
    calibration: CalibrationConfig


class EvaluationConfig(Config, file="evaluation/default"):
    """Evaluation: the split, the bootstrap, the baselines, the subgroups."""

    split: str
    n_bootstrap: Annotated[int, Field(ge=1, le=1_000_000)]
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)]
    n_calibration_bins: Annotated[int, Field(ge=1, le=10_000)]
    baselines: bool
    explain: Natural
    length_edges: CountEdges
    identity_edges: ShareEdges
    min_members: Positive
    seed: Seed


class TrackingConfig(Config, file="tracking/mlflow"):
    """Tracking in MLflow; an empty `uri` means ``mlflow.db`` in the working directory."""

    enabled: bool
    uri: PathText
    experiment: str
    run_name: str
    register: str
    system_seconds: NonNegative
    timeout: Annotated[float, Field(ge=1.0, allow_inf_nan=False)]


class RuntimeConfig(Config, file="runtime/auto"):
    """The machine: device, threads, randomness."""

    device: Literal["auto", "cpu", "cuda"]
    threads: Natural
    seed: Seed
    deterministic: bool


class StudyConfig(Config, file="study/default"):
    """The search of a sweep (``conf/study``)."""

    name: str
    storage: PathText
    heartbeat_seconds: Positive
    n_trials: Positive
    sampler: Literal["tpe", "random"]
    seed: Seed
    startup_trials: Positive
    pruner: Literal["median", "hyperband", "none"]
    warmup_epochs: Natural
    space: dict[str, Any]


class JobConfig(Config):
    """Options that trainings, evaluations and sweeps share (``conf/job.yaml``)."""

    corpus: CorpusConfig
    split: SplitConfig
    evaluation: EvaluationConfig
    tracking: TrackingConfig
    runtime: RuntimeConfig


class TrainConfig(JobConfig, file="train"):
    """All of ``conf/train.yaml``."""

    model: ModelConfig
    training: TrainingConfig
    name: Text
    network: Text
    run_dir: FolderText
    bundle: PathText
    resume: PathText


class SweepConfig(JobConfig, file="sweep"):
    """All of ``conf/sweep.yaml``."""

    model: ModelConfig
    training: TrainingConfig
    study: StudyConfig
    network: Text
    run_dir: FolderText


class EvaluateConfig(JobConfig, file="evaluate"):
    """All of ``conf/evaluate.yaml``."""

    bundle: PathText
    channel: str | None
    report: PathText


class CompareConfig(Config, file="compare"):
    """All of ``conf/compare.yaml``."""

    evaluation: EvaluationConfig
    tracking: TrackingConfig
    report: PathText


def from_mapping(kind: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Build a configuration from nested plain values, as from YAML or JSON, and check every key and value.

    Raises
    ------
    ConfigError
        A key is unknown or missing, or a value is not allowed; only the first is named, with `where` ahead of its path.

    Examples
    --------
    >>> from_mapping(CalibrationConfig, {"method": "auto", "folds": 0, "seed": 0}, where="training.calibration")
    Traceback (most recent call last):
    tfclass.errors.ConfigError: training.calibration.folds: found 0; expected greater than or equal to 2
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where or 'configuration'}: found {values!r}; expected keys and their values")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        from tfclass.config_errors import first_problem

        raise ConfigError(first_problem(kind, error, where)) from None


def to_mapping(config: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a configuration as nested plain values, ready for JSON."""
    return asdict(config)
