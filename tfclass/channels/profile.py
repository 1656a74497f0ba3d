"""The channel of profiles: the profile hidden Markov model that fits a protein best."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfclass.channels.base import Channel, Column, piecewise_linear, place_cell
from tfclass.errors import BundleError, ProfileError
from tfclass.limits import MAX_UNPACKED_BYTES, in_words
from tfclass.sequences.alphabet import Alphabet, merged
from tfclass.typing import FloatArray, IntArray, OnProgress, TokenArray

if TYPE_CHECKING:
    from tfclass.data.table import LabelledProteins
    from tfclass.search.hmmer import BestHit, Library

_MARGIN_KNOTS = ((-20.0, 0.0), (0.0, 10.0), (10.0, 40.0))


class ProfileChannel(Channel):
    """Profiles that are searched together; the groups of the regression are the profiles.

    Parameters
    ----------
    alphabet : Alphabet
        Of the tokens.
    """

    name = "profile"
    file = "profiles.h3m.zst"
    n_features = 1 + len(_MARGIN_KNOTS)
    columns = {  # noqa: RUF012
        "family": Column("category", of_positives=True),
        "domain": Column("text", of_positives=True),
        "profile": Column("category"),
        "profile_bits": Column("number", 1),
    }

    def __init__(self, library: "Library", alphabet: Alphabet) -> None:
        self.library, self.alphabet = library, alphabet
        self.n_groups = len(library.profiles)

    @property
    def nothing(self) -> "BestHit":  # type: ignore[override]
        """No hit."""
        from tfclass.search.hmmer import NO_HIT

        return NO_HIT

    def score(self, tokens: Sequence[TokenArray], threads: int = 1, on_progress: OnProgress = None) -> "list[BestHit]":
        """Find the best profile of each protein."""
        return self.library.search(tokens, self.alphabet, threads, on_progress)

    def features(self, scores: "Sequence[BestHit]") -> FloatArray:
        """Return f, 1 where a profile fits at all, and the margin m as u(m, -20, 0), u(m, 0, 10), u(m, 10, 40).

        The margin is the score of the best profile in bits above the profile's threshold
        (`tfclass.search.hmmer.BestHit.margin`); u is `piecewise_linear`.
        """
        margin_N = np.array([found.margin for found in scores], dtype=np.float64)
        return np.stack([np.isfinite(margin_N).astype(float), *piecewise_linear(margin_N, _MARGIN_KNOTS)], axis=1)

    def group(self, scores: "Sequence[BestHit]") -> IntArray:
        """Return the index of the best profile, -1 where none or one of others fits better, shape (N,)."""
        return np.array([-1 if found.lead_of_others else found.profile for found in scores], dtype=np.int64)

    def group_terms(self, scores: "Sequence[BestHit]", proteins: "LabelledProteins") -> FloatArray:
        """Return for each profile its record in training and its family, shape (K, 1 + F).

        The first is log((T + 1/2) / (W + 1/2)), where T clusters of positives and W of others have the profile as their
        best at any margin; a cluster counts as much as another, however many proteins it has. Then 1 for the profile's
        family among the F of the library, and 0 for the others.
        """
        best_N = self.group(scores)
        count_CK = np.zeros((2, self.n_groups))
        fits_N = best_N >= 0
        positive_N = proteins.is_positive.astype(int)
        np.add.at(count_CK, (positive_N[fits_N], best_N[fits_N]), proteins.cluster_weights[fits_N])
        record_K = np.log((count_CK[1] + 0.5) / (count_CK[0] + 0.5))
        # Those of others are no protein's best, and have no family.
        families = np.array([profile.family for profile in self.library.profiles])
        return np.column_stack([record_K, families[:, None] == np.unique(families)])

    def cells(self, scores: "Sequence[BestHit]", row: int, sequence: str, *, positive: bool) -> dict[str, Any]:
        """Return name and score of the best profile; its family and where it matches, from its threshold on.

        A name in HMMER's format has underscores for blanks.
        """
        best = scores[row]
        if best.profile < 0:
            return {}
        profile = self.library.profiles[best.profile]
        values: dict[str, Any] = {"profile": profile.name.replace("_", " "), "profile_bits": round(best.bits, 1)}
        if positive and best.margin >= 0:
            values["family"] = profile.family or None
            values["domain"] = place_cell(merged(best.envelopes), sequence, self.alphabet)
        return values

    def describe(self) -> str:
        """Return the number of profiles and of their states."""
        size = f"{self.n_groups:,} profile hidden Markov models of {self.library.states:,} states"
        return f"{size}, made from the training split"

    def listing(self) -> Iterator[tuple[str, ...]]:
        """Yield a header, and what is known about each profile.

        A profile without an accession of its own may hold any part of the proteins that it was made from.
        """
        # A prediction does not need it.
        from tfclass.channels.domains import domain_of_accession

        yield ("name", "pfam", "interpro", "family", "kind", "threshold", "meaning")
        for profile in self.library.profiles:
            name, known = profile.name.replace("_", " "), domain_of_accession(profile.accession)
            if known:
                meaning = known.description
            elif profile.kind == "other":
                meaning = f"What is no transcription factor, though it resembles {name.removeprefix('other ')}"
            else:
                meaning = f"What {f'the family {profile.family} has' if profile.family else name + ' have'} in common"
            accessions = profile.accession, known.interpro if known else ""
            yield (name, *accessions, profile.family, profile.kind, f"{profile.threshold:g}", meaning)

    def to_bytes(self) -> bytes:
        """Return the profiles in HMMER's format, compressed."""
        return self.library.to_bytes()

    @classmethod
    def from_bytes(cls, content: bytes, alphabet: Alphabet, classes: Sequence[str], where: str) -> "ProfileChannel":  # noqa: ARG003
        """Read profiles; see `Channel`."""
        # Most commands need no HMMER.
        from tfclass.search.hmmer import Library

        try:
            return cls(Library.from_bytes(content, where), alphabet)
        except ProfileError as error:
            raise BundleError(str(error)) from error

    @classmethod
    def from_training(
        cls,
        proteins: "LabelledProteins",  # noqa: ARG003
        alphabet: Alphabet,
        source: Path | None,
        where: str,
    ) -> "ProfileChannel":
        """Read the file that ``tfclass profiles build`` wrote.

        Raises
        ------
        ProfileError
            The file cannot be read, or has no profiles.
        """
        from tfclass.search.hmmer import Library

        path = source or Path(where)
        try:
            with path.open("rb") as stream:
                content = stream.read(MAX_UNPACKED_BYTES + 1)
        except OSError as error:
            action = "make it with `tfclass profiles build`"
            raise ProfileError(f"{path}: the file cannot be read ({error.strerror}); {action}") from None
        if len(content) > MAX_UNPACKED_BYTES:
            raise ProfileError(f"{path}: the file is larger than {in_words(MAX_UNPACKED_BYTES)}")
        return cls(Library.from_bytes(content, str(path)), alphabet)
