"""Whether the channels of a bundle, its combiners and its files go together."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from tfclass.bundle.description import PROFILES, REFERENCE
from tfclass.channels.stacking import Combiner, Reading, n_terms
from tfclass.errors import BundleError

if TYPE_CHECKING:
    from tfclass.search.hmmer import Library

# What a channel reads.
FILES = {"profile": PROFILES, "homology": REFERENCE}


def check_channels(
    where: str, classes: Collection[str], files: Collection[str], combiners: Mapping[Reading, Combiner]
) -> None:
    """Refuse channels and combiners that do not go together, or that are for other than two classes."""
    channels = [channel for channel, name in FILES.items() if name in files]
    for reading, combiner in combiners.items():
        if combiner.reading != reading:
            found = f"the combiner of {combiner.reading} evidence under the name {reading}"
            raise BundleError(where, found, "each under its own", path=where)
        needed = [name for channel, name in FILES.items() if reading in (channel, "combined")]
        if not set(needed) & set(files):
            found = f"a combiner of {reading} evidence, and nothing for it to read"
            raise BundleError(where, found, f"a checksum of {' or '.join(needed)}", path=where)
        expected = n_terms(reading, ["network", *channels])
        if len(combiner.weights) != expected:
            found = f"{len(combiner.weights)} weights for {reading} evidence"
            raise BundleError(where, found, f"{expected}", path=where)
    for channel in channels:
        if not {channel, "combined"} & set(combiners):
            raise BundleError(where, f"{FILES[channel]} without a combiner", "one that reads it", path=where)
        if len(classes) != 2:
            raise BundleError(where, f"{FILES[channel]} for {len(classes)} classes", "two", path=where)


def check_offsets(where: str, combiners: Mapping[Reading, Combiner], library: "Library | None") -> None:
    """Refuse offsets of other profiles than the bundle's."""
    n_profiles = len(library.profiles) if library else 0
    for reading, combiner in combiners.items():
        if len(combiner.offsets) not in (0, n_profiles):
            found = f"offsets of {len(combiner.offsets)} profiles for {reading} evidence"
            raise BundleError(where, found, f"those of {n_profiles}, or none", path=where)
