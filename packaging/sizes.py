"""Print what each dependency and each extra of tfclass brings, and its size on disk; run it where all are installed.

Usage: python packaging/sizes.py
"""

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def brought(requirements: Iterable[str], known: frozenset[str] = frozenset()) -> set[str]:
    """Return the names of the distributions that requirements bring here, beside those that are known."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in known or name in found or not (requirement.marker is None or requirement.marker.evaluate()):
            continue
        found.add(name)
        waiting += [Requirement(text) for text in requires(name, *requirement.extras)]
    return found


def requires(name: str, *extras: str) -> list[str]:
    """Return the requirements of an installed distribution with some of its extras, for this platform."""
    needed = []
    for text in distribution(name).requires or []:
        marker = Requirement(text).marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            needed.append(text.split(";")[0])
    return needed


def megabytes(names: Iterable[str]) -> float:
    """Return the size of the files of distributions."""
    return sum(file.size or 0 for name in names for file in distribution(name).files or []) / 1e6


def main() -> None:
    """Print one row for tfclass alone, and one for each extra."""
    base = brought(requires("tfclass"))
    print(f"{'tfclass':10} {len(base):4} distributions {megabytes(base):7.0f} MB")
    for name in sorted(base, key=lambda name: -megabytes([name]))[:6]:
        print(f"{'':10} {name} {megabytes([name]):.0f} MB")
    for extra in distribution("tfclass").metadata.get_all("Provides-Extra", []):
        try:
            more = brought(requires("tfclass", extra), frozenset(base | {"tfclass"}))
        except PackageNotFoundError as error:
            print(f"{extra:10} {error}: not installed", file=sys.stderr)
            continue
        print(f"{extra:10} {len(more):4} more          {megabytes(more):7.0f} MB: {', '.join(sorted(more))}")


if __name__ == "__main__":
    main()
