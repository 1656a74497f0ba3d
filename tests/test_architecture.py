"""The rules of the house, checked by reading the source."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "tfclass"
MODULES = sorted(ROOT.rglob("*.py"))
LAYERS = {
    "sequence": 0,
    "errors": 0,
    "overrides": 0,
    "config": 0,
    "config_errors": 0,
    "files": 0,
    "compression": 0,
    "limits": 0,
    "names": 0,
    "limited_http": 0,
    "filetypes": 0,
    "tsv": 0,
    "children": 0,
    "cores": 0,
    "folders": 0,
    "temporary": 0,
    "environment": 0,
    "corpus": 1,
    "networks": 2,
    "profiles": 2,
    "bundle": 3,
    "training": 4,
    "evaluation": 4,
    "inference": 4,
    "interpretation": 4,
    "reporting": 4,
    "tracking": 4,
    "workflow": 5,
    "cli": 6,
}
# Libraries that only some places may know.
CONFINED = {
    "hydra": ("cli",),
    "omegaconf": ("cli",),
    "typer": ("cli",),
    "rich": ("cli",),
    "dask": ("inference/cluster.py",),
    "distributed": ("inference/cluster.py",),
    "mlflow": (
        *(
            "tracking/access.py",
            "tracking/reports.py",
            "tracking/store.py",
            "tracking/registration.py",
            "tracking/ui.py",
        ),
        *("inference/pyfunc.py", "inference/registry.py"),
    ),
    "optuna": ("workflow/sweep.py", "workflow/search.py"),
    "Bio": ("networks/embeddings.py", "training/augmentation.py"),
    "pyhmmer": ("profiles/",),
    "pyfamsa": ("profiles/recruitment.py",),
    "pickle": ("training/checkpoint.py",),
    "requests": ("corpus/uniprot.py", "limited_http.py"),
    "urllib3": ("corpus/uniprot.py", "limited_http.py"),
    "yaml": ("cli/data.py", "cli/profiles.py"),
}


def place(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def layer(dotted):
    parts = dotted.split(".")
    return LAYERS[parts[1]] if len(parts) > 1 else -1


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_a_module_imports_only_from_its_own_layer_and_below(path):
    if path.parent == ROOT and path.stem == "__init__":
        return
    own = LAYERS[place(path).split("/")[0].removesuffix(".py")]
    above = [name for name in imports(path) if name.split(".")[0] == "tfclass" and layer(name) > own]
    assert above == []


def test_each_library_is_known_only_where_it_belongs():
    strays = [
        (place(path), name)
        for path in MODULES
        for name in imports(path)
        if name.split(".")[0] in CONFINED and not place(path).startswith(CONFINED[name.split(".")[0]])
    ]
    assert strays == []


def test_prediction_knows_nothing_of_training():
    for path in (*ROOT.glob("inference/*.py"), *ROOT.glob("bundle/*.py"), *ROOT.glob("networks/*.py")):
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
