"""The two jobs, whole: table to bundle, and bundle to report. The only place that sees every layer."""

from tfclass.workflow.evaluation import evaluate_bundle
from tfclass.workflow.training import RUN_FILE, Trained, train_and_package

__all__ = ["RUN_FILE", "Trained", "evaluate_bundle", "train_and_package"]
