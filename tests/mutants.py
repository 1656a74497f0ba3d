"""The mutation score: how many small errors in a module its tests find.

cosmic-ray knows where an operator, a number, a condition or an exception can be changed. At a random sample of these
places one change is made at a time, in a copy of the checkout, and the module's tests are run. A mutant that passes
them is printed: a test is missing, or the change makes no difference.

    python tests/mutants.py                                            # forty mutants of each group of `GROUPS`
    python tests/mutants.py tfclass/data/split.py --most 1000 --seed 3
"""

import argparse
import ast
import contextlib
import difflib
import gc
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from scipy.stats import binomtest

LOG = "mutant.log"
ROOT = Path(__file__).resolve().parents[1]
GROUPS = (
    "tfclass/sequences/*.py",
    "tfclass/data/split.py",
    "tfclass/channels/thresholds.py",
    "tfclass/evaluation/metrics.py",
    "tfclass/inference/*.py",
)
# A table of published numbers.
LEFT_OUT = "tfclass/inference/usual.py"
# Where the tests of a module are, if not in the file of its name alone.
TESTS = {
    "tfclass/sequences/fasta.py": "sequences/test_fasta.py sequences/test_inputs.py sequences/test_pir.py",
    "tfclass/sequences/identifiers.py": "inference/test_summary.py evaluation/test_report.py",
    "tfclass/sequences/parsing.py": "sequences/test_fasta.py sequences/test_pir.py inference/test_odd_inputs.py",
    "tfclass/data/split.py": "data/test_split.py cli/test_data.py",
    "tfclass/channels/thresholds.py": "channels/test_thresholds.py channels/test_threshold_fit.py",
    "tfclass/inference/dask_engine.py": "inference/test_jobs.py",
    "tfclass/inference/expected.py": "inference/test_summary.py",
    "tfclass/inference/inputs.py": "inference/test_inputs.py inference/test_frames.py",
    "tfclass/inference/jobs.py": "inference/test_jobs.py inference/test_channels.py",
    "tfclass/inference/page.py": "inference/test_summary.py",
    **dict.fromkeys(
        ("tfclass/inference/predictor.py", "tfclass/inference/rows.py"),
        "inference/test_predictor.py inference/test_channels.py inference/test_odd_inputs.py inference/test_summary.py",
    ),
    "tfclass/inference/windows.py": "inference/test_windows.py inference/test_predictor.py inference/test_channels.py",
    "tfclass/inference/writers.py": "inference/test_writers.py inference/test_odd_inputs.py",
}
# Most of the time of an import, spent once.
IMPORTED_FIRST = (
    *(
        "hydra",
        "hypothesis.extra.numpy",
        "hypothesis.internal.conjecture.engine",
        "jinja2",
        "pandas",
        "pyarrow.parquet",
    ),
    *("pydantic", "pyhmmer", "rich.console", "safetensors.torch", "scipy.special", "sklearn.metrics", "torch", "typer"),
)


class Mutant(NamedTuple):
    """A module with one change."""

    module: str
    source: str

    @property
    def change(self) -> str:
        """The lines that differ, after those that name the module and the place."""
        before, after = (ROOT / self.module).read_text(encoding="utf-8").splitlines(), self.source.splitlines()
        return "\n".join(list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:])


def places(source: str) -> list[list[tuple[str, int]]]:
    """Return the places where code can be changed, outside annotations: the changes of one kind at each."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.operators.provider import OperatorProvider

    nodes = [getattr(node, name, None) for node in ast.walk(ast.parse(source)) for name in ("annotation", "returns")]
    annotations = [
        ((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in nodes if isinstance(n, ast.AST)
    ]
    lines, tree, provider = source.splitlines(), get_ast(source), OperatorProvider()
    found = defaultdict(list)
    for name in sorted(provider):
        if provider[name].arguments():
            continue
        positions = (at for node in ast_nodes(tree) for at, _ in provider[name]().mutation_positions(node))
        for occurrence, at in enumerate(positions):
            if not any(start <= at <= end for start, end in annotations) and "TYPE_CHECKING" not in lines[at[0] - 1]:
                found[at, name.split("_")[0]].append((name, occurrence))
    return [found[place] for place in sorted(found)]


def mutants(modules: list[str], rng: random.Random) -> Iterator[Mutant]:
    """Yield one mutant for each place, in random order."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.operators.provider import OperatorProvider

    sources = {module: (ROOT / module).read_text(encoding="utf-8") for module in modules}
    everywhere = [(module, changes) for module, source in sources.items() for changes in places(source)]
    for module, changes in rng.sample(everywhere, len(everywhere)):
        operator, occurrence = rng.choice(changes)
        # cosmic-ray takes the star of `*arguments` for a product, and does not know every form of `except`.
        with contextlib.suppress(AttributeError, SyntaxError):
            mutated = mutate_code(sources[module], OperatorProvider()[operator](), occurrence)
            compile(mutated, module, "exec")
            yield Mutant(module, mutated)


def outcome(tree: Path, module: str, limit: float) -> str:
    """Run the tests of a module in a process that is forked from this one."""
    tests = TESTS.get(module, module.removeprefix("tfclass/").replace("/", "/test_")).split()
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"]
    # What Hypothesis found in one mutant says nothing about the next.
    shutil.rmtree(tree / ".hypothesis", ignore_errors=True)
    child = os.fork()
    if not child:
        os.setsid()
        log = os.open(tree / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        # Or multiprocessing would run this file in each process that it starts.
        del sys.modules["__main__"].__file__
        os._exit(pytest.main([module, *(f"tests/{test}" for test in tests), *options]))
    end, done, status = time.monotonic() + limit, 0, 0
    while not done and time.monotonic() < end:
        time.sleep(0.05)
        done, status = os.waitpid(child, os.WNOHANG)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not done:
        os.waitpid(child, 0)
        return "timed out"
    return "killed" if status else "survived"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", default=GROUPS, help="modules, or patterns of their names")
    parser.add_argument("--most", type=int, default=40, help="mutants of each group (default: 40)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=300, help="seconds for the tests of a module (default: 300)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")[:-1]:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
        # Nothing is imported from the checkout, and no compiled mutant is left for the next run.
        os.environ |= {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        sys.dont_write_bytecode, sys.path[0] = True, folder
        os.chdir(tree)
        for name in IMPORTED_FIRST:
            importlib.import_module(name)
        # What is there now is not looked at again in each process.
        gc.freeze()
        for group in given.groups:
            score(group, tree, given)


def score(group: str, tree: Path, given: argparse.Namespace) -> None:
    """Run mutants of a group of modules; print those that survive, and the score."""
    modules = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob(group))]
    counts: Counter[str] = Counter()
    passing: set[str] = set()
    for mutant in mutants([name for name in modules if name != LEFT_OUT], random.Random(given.seed)):
        if mutant.module not in passing and outcome(tree, mutant.module, given.limit) != "survived":
            sys.exit(f"{mutant.module}: its tests fail as it is; see `TESTS`\n{(tree / LOG).read_text()[-1000:]}")
        passing.add(mutant.module)
        path = tree / mutant.module
        path.write_text(mutant.source, encoding="utf-8")
        found = outcome(tree, mutant.module, given.limit)
        shutil.copy2(ROOT / mutant.module, path)
        counts[found] += 1
        if found == "survived":
            print(f"{mutant.module} {mutant.change}", flush=True)
        if counts.total() == given.most:
            break
    n, survived = counts.total(), counts["survived"]
    low, high = binomtest(n - survived, n).proportion_ci(method="wilson")
    print(f"{group}: {1 - survived / n:.0%} of {n} found (95 % of such samples: {low:.0%} to {high:.0%})", flush=True)


if __name__ == "__main__":
    main()
