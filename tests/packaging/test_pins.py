"""The exact versions in ``constraints.txt``: whatever is needed has one, which ``pyproject.toml`` allows."""

import importlib.metadata
import sys
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1] not in ("", "#")]
# What torch brings on Linux with a GPU; which of them, its own index says.
OF_TORCH = ("nvidia-", "cuda-", "triton")


def environment(python):
    return default_environment() | {"python_version": python, "python_full_version": f"{python}.9"}


def pinned(name, markers):
    """The pins of a package that hold there."""
    return [
        pin
        for pin in PINS
        if canonicalize_name(pin.name) == canonicalize_name(name)
        and (pin.marker is None or pin.marker.evaluate(markers))
    ]


def test_every_pin_is_one_exact_version_and_nothing_is_fetched_from_elsewhere():
    for pin in PINS:
        [version] = pin.specifier
        assert (version.operator, "*" in version.version, pin.url, pin.extras) == ("==", False, None, set()), str(pin)


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_every_dependency_has_one_pin_that_its_range_allows(extra, python):
    markers = environment(python)
    for line in EXTRAS[extra] if extra else PROJECT["dependencies"]:
        needed = Requirement(line)
        if needed.name == PROJECT["name"] or (needed.marker and not needed.marker.evaluate(markers)):
            continue
        pins = pinned(needed.name, markers)
        assert len(pins) == 1, f"{line}: pinned by {[*map(str, pins)]}"
        [version] = pins[0].specifier
        assert needed.specifier.contains(version.version), f"{line}: pinned to {version}"


def test_what_the_dependencies_need_in_turn_is_pinned_too():
    markers = environment(f"{sys.version_info.major}.{sys.version_info.minor}")
    waiting, seen = [(PROJECT["name"], {*EXTRAS}, PROJECT["dependencies"])], set()
    waiting += [(PROJECT["name"], set(), EXTRAS[extra]) for extra in EXTRAS]
    while waiting:
        owner, extras, lines = waiting.pop()
        for line in lines or ():
            needed = Requirement(line)
            wanted = [markers | {"extra": extra} for extra in extras or {""}]
            if needed.marker and not any(needed.marker.evaluate(each) for each in wanted):
                continue
            name = canonicalize_name(needed.name)
            if name == PROJECT["name"] or name.startswith(OF_TORCH) or (name, *sorted(needed.extras)) in seen:
                continue
            seen.add((name, *sorted(needed.extras)))
            assert pinned(name, markers), f"{owner} needs {line}"
            try:
                waiting.append((name, needed.extras, importlib.metadata.requires(name)))
            except importlib.metadata.PackageNotFoundError:
                # An extra that is not installed here: what it needs is not known.
                continue
    assert len(seen) > 20
