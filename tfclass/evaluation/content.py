"""The content of ``report.json``; ``docs/reference/report.md`` describes the schema."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, NonNegativeInt, TypeAdapter
from pydantic.dataclasses import dataclass

from tfclass.channels.thresholds import Probability
from tfclass.evaluation.bootstrap import Estimate
from tfclass.evaluation.conclusions import BaselineScores, Conclusion
from tfclass.evaluation.homologues import Leakage, LeftOut
from tfclass.evaluation.metrics import ClassScores
from tfclass.evaluation.mistakes import Mistakes
from tfclass.evaluation.subgroups import ScoredGrouping
from tfclass.evaluation.threshold_table import RuleResult, UnusableRule
from tfclass.limits import MAX_CLASSES
from tfclass.typing import Name

SCHEMA_VERSION: Literal[3] = 3
ClassCounts = Annotated[dict[Name, NonNegativeInt], Field(min_length=2, max_length=MAX_CLASSES)]


@dataclass(frozen=True)
class ScoredModel:
    """The model, and the channel that was scored with its threshold."""

    name: Name
    network: str
    sha256: str
    channel: str
    threshold: Probability | None
    created: Any
    mlflow_run_id: Any


@dataclass(frozen=True)
class SplitSize:
    """Sizes of a split."""

    n_proteins: int
    n_clusters: int
    residues: int
    class_counts: dict[str, int]


@dataclass(frozen=True)
class ScoredCorpus:
    """The table, and the split of it that was scored; a note where only one of model and corpus is generated."""

    name: str
    path: str
    sha256: str
    same_as_in_training: bool
    split_policy: str
    split: str
    splits: dict[str, SplitSize]
    note: str | None


# Not null: a number that is not one is refused when the report is written.
@dataclass(frozen=True, kw_only=True, config=ConfigDict(ser_json_inf_nan="constants"))
class ReportContent:
    """All numbers of a report; classes are in the model's order, the positive one last."""

    schema_version: Literal[3]
    tfclass_version: str
    created: str
    bundle: ScoredModel
    corpus: ScoredCorpus
    n_proteins: int
    n_clusters: int
    class_counts: ClassCounts
    prevalence: float | None
    confidence: float
    n_bootstrap: int
    conclusions: list[Conclusion]
    metrics: dict[str, Estimate]
    baselines: dict[str, BaselineScores | LeftOut]
    classes: list[ClassScores]
    subgroups: dict[str, ScoredGrouping | LeftOut]
    thresholds: list[RuleResult | UnusableRule]
    mistakes: list[Mistakes]
    leakage: Leakage | LeftOut
    configuration: dict[str, Any]
    environment: dict[str, Any]
    command: str
    residues_per_second: float
    seconds: float

    @property
    def binary(self) -> bool:
        """Return True if there are two classes, the positive one last."""
        return len(self.class_counts) == 2

    @property
    def compared(self) -> dict[str, BaselineScores]:
        """The baselines that were run."""
        return {name: b for name, b in self.baselines.items() if isinstance(b, BaselineScores)}

    @property
    def not_compared(self) -> list[LeftOut]:
        """The baselines that could not be run."""
        return [baseline for baseline in self.baselines.values() if isinstance(baseline, LeftOut)]

    def numbers(self) -> dict[str, float]:
        """Return the defined metrics for tracking, and of each baseline those that the conclusions rest on."""
        found = dict(self.metrics)
        for name, baseline in self.compared.items():
            for metric, lead in baseline.difference.items():
                found |= {f"{name}/{metric}": baseline.metrics[metric], f"{name}/lead_in_{metric}": lead}
        return {name: estimate.value for name, estimate in found.items() if estimate.value is not None}


_ADAPTER = TypeAdapter(ReportContent)


def to_json(content: ReportContent) -> dict[str, Any]:
    """Return the content as JSON values; an optional key that is not set is left out."""
    return _ADAPTER.dump_python(content, mode="json", exclude_defaults=True)


def from_json(text: bytes) -> ReportContent:
    """Read the content; `pydantic.ValidationError` where it is not what `to_json` returns."""
    return _ADAPTER.validate_json(text, strict=True)
