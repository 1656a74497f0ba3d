"""The jobs, whole: table to bundle, bundle to report, both for every network. The only place that sees every layer."""

from tfclass.workflow.comparison import compare_runs
from tfclass.workflow.evaluation import evaluate_bundle
from tfclass.workflow.run_folder import RUN_FILE
from tfclass.workflow.training import Trained, train_and_package
from tfclass.workflow.zoo import run_zoo

__all__ = ["RUN_FILE", "Trained", "compare_runs", "evaluate_bundle", "run_zoo", "train_and_package"]
