"""The rules of the house, checked by reading the source."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1] / "tfclass"
MODULES = sorted(ROOT.rglob("*.py"))
# Libraries that only some places may know.
CONFINED = {
    "hydra": ("cli",),
    "omegaconf": ("cli",),
    "typer": ("cli",),
    "rich": ("cli",),
    "dask": ("inference/dask_engine.py",),
    "distributed": ("inference/dask_engine.py",),
    "mlflow": ("tracking/",),
    "optuna": ("pipelines/sweep.py",),
    "Bio": ("models/front.py", "training/augmentation.py"),
    "pyhmmer": ("search/", "channels/align_profiles.py"),
    "pyfamsa": ("channels/align_profiles.py",),
    "pickle": ("training/checkpoint.py",),
    "requests": ("data/uniprot.py", "io/http.py"),
    "urllib3": ("data/uniprot.py", "io/http.py"),
    "yaml": ("bundle/card.py", "config.py", "data/curation.py"),
}


def place(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_each_library_is_known_only_where_it_belongs():
    strays = [
        (place(path), name)
        for path in MODULES
        for name in imports(path)
        if name.split(".")[0] in CONFINED and not place(path).startswith(CONFINED[name.split(".")[0]])
    ]
    assert strays == []


def test_prediction_knows_nothing_of_training():
    for path in (*ROOT.glob("inference/*.py"), *ROOT.glob("bundle/*.py"), *ROOT.glob("models/*.py")):
        assert not [name for name in imports(path) if name.startswith("tfclass.training")], place(path)


def test_no_module_is_longer_than_300_lines_and_no_function_than_50():
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 300, place(path)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                docstring = ast.get_docstring(node, clean=False) or ""
                lines = node.end_lineno - node.lineno + 1 - docstring.count("\n")  # type: ignore[operator]
                assert lines <= 50, f"{place(path)}: {node.name} has {lines} lines"


def test_no_exception_is_swallowed_and_no_module_has_a_name_that_says_nothing():
    for path in MODULES:
        assert path.stem not in ("utils", "helpers", "common", "misc"), place(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                assert not (len(node.body) == 1 and isinstance(node.body[0], ast.Pass)), place(path)
