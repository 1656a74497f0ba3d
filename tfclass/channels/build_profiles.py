"""From labelled proteins to profiles: a seed is aligned, finds relatives, and is made anew from what they share.

Seeds are the known DNA-binding domains, by name, then the clusters of the transcription factors that no profile covers
yet, the largest first. A profile recruits among the training proteins: where it finds members of other clusters, their
envelopes are aligned into the next round's profile, so that what only one cluster has falls away and the domain in
common stays. A profile of one cluster alone is left out unless it is asked for: it would tell what a homology search
tells, and would hold little else than that cluster's sequences.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from math import ceil
from typing import NamedTuple

import numpy as np
import pandas as pd

from tfclass.channels.align_profiles import Recruited, Recruiter, envelopes, shortened
from tfclass.channels.other_profiles import NEAR_BITS, other_profiles
from tfclass.channels.refine_profiles import refined
from tfclass.channels.select_profiles import MIN_PRECISION, by_profile, redundant, threshold_of
from tfclass.data.table import LabelledProteins
from tfclass.errors import ProfileError
from tfclass.search.hmmer import OF_CLUSTER, Hit, Library, Profile, search
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import BoolArray, TokenArray

# A profile is of the sparse groups where they have so many of its members, and of the others below the second share.
_SPARSE_SHARE, _FOREIGN_SHARE = 0.5, 0.1
# Of the clusters of a profile whose family is known, so many are of the one that it gets.
_FAMILY_SHARE = 0.8
# Of the clusters that a profile covers, a known domain's has so many: then it is of that domain, and has to cover a
# share of them alone to be kept; a larger one where both are of one family, since then it has no family to add.
_SAME_SHARE, _OWN_SHARE, _OWN_SHARE_IN_FAMILY = 0.9, 0.1, 0.2


class Naming(NamedTuple):
    """The name, the accession and the family of a profile.

    Attributes
    ----------
    name : str
        Need not be the only one of this name.
    accession : str
        Of its domain in Pfam, or empty; for the first profile of a name and family.
    family : str or None
        In place of the one that its members agree on; empty for none.
    """

    name: str
    accession: str = ""
    family: str | None = None


def build_library(
    proteins: LabelledProteins,
    domains: Mapping[str, Sequence[str]],
    alphabet: Alphabet,
    *,
    sparse: BoolArray | None = None,
    unlabelled: Sequence[TokenArray] = (),
    naming: Callable[[str, str], Naming] = lambda seed, _: Naming(seed),
    threads: int = 1,
    on_progress: Callable[[str, float], None] = lambda *_: None,
) -> Library:
    """Make profiles of the positive class, and of proteins of the other that resemble it.

    Parameters
    ----------
    proteins : LabelledProteins
        The training split of a binary task, clustered; a column ``family`` gives profiles their families.
    domains : mapping of str to sequence of str
        Sequences of known domains by the domain's name; may be empty.
    sparse : ndarray of bool, shape (N,), optional
        Proteins of groups with few clusters to a family: a single cluster may have a profile; by default none.
    unlabelled : sequence of ndarray of uint8, each of shape (L,), optional
        Proteins of sparse groups. Those that fit a profile of these groups are aligned to it
        (`tfclass.channels.refine_profiles`); those that come nearest to ones of other groups are none of the
        positive class.
    naming : callable
        Name of the seed and family of the profile -> `Naming`; by default the name is that of the seed.
    on_progress : callable
        Called with what is being done and the share of it that is done.

    Raises
    ------
    ProfileError
        No two clusters share anything.
    MissingExtraError
        pyfamsa is not installed.
    """
    build = _Build(proteins, np.zeros(len(proteins.labels), bool) if sparse is None else sparse, alphabet, threads)
    found = build.recruited(domains, on_progress)
    on_progress("parts of long profiles", 0.0)
    candidates = build.shortened(found)
    on_progress("thresholds", 0.0)
    hits = search([each.hmm for each in candidates.values()], [*proteins.tokens, *unlabelled], alphabet, threads)
    hits, relatives = build.counted(candidates, hits, unlabelled)
    chosen = build.chosen(candidates, domains, by_profile(hits, len(candidates)))
    on_progress("unlabelled relatives", 0.0)
    may_change = [build.sparse_share(candidates[profile.name]) >= _SPARSE_SHARE for profile, _ in chosen]
    chosen = refined(chosen, may_change, build.proteins, relatives, alphabet, threads)
    taken: set[str] = set()
    placed: set[tuple[str, str]] = set()
    profiles, own_hits = [], []
    for profile, found_hits in chosen:
        name, accession, family = naming(profile.name, profile.family)
        # A further profile of the same family has what the first one lacks: another part of the proteins.
        named = profile._replace(
            name=_once(name, taken), accession="" if (name, profile.family) in placed else accession
        )
        placed.add((name, profile.family))
        own_hits += [hit._replace(profile=len(profiles)) for hit in found_hits]
        profiles.append(named if family is None else named._replace(family=family))
    on_progress("profiles of others", 0.0)
    others = other_profiles(Library(profiles), own_hits, build.proteins, alphabet, threads)
    return Library([*profiles, *(each._replace(name=_once(each.name, taken)) for each in others)])


def _once(name: str, taken: set[str]) -> str:
    """Make a name that HMMER can write, and that no other profile has; it is then taken."""
    name = "_".join(name.split())
    free = next(each for n in count(1) if (each := name if n == 1 else f"{name}_{n}") not in taken)
    taken.add(free)
    return free


class _Build:
    """The training proteins, and what is made of them; positives are counted by themselves."""

    def __init__(self, proteins: LabelledProteins, sparse: BoolArray, alphabet: Alphabet, threads: int) -> None:
        self.proteins, self.sparse, self.alphabet, self.threads = proteins, sparse, alphabet, threads
        self.clusters = proteins.frame["cluster"].to_numpy()
        self.is_positive = proteins.is_positive
        self.positives = np.flatnonzero(self.is_positive)
        self.weight = proteins.cluster_weights
        sequences = [alphabet.decode(proteins.tokens[i]) for i in self.positives]
        frame = proteins.frame
        self.families = frame["family"].to_numpy() if "family" in frame else np.full(len(frame), "", dtype=object)
        of_positives = self.families[self.positives].tolist()
        self.recruiter = Recruiter(sequences, self.clusters[self.positives].tolist(), alphabet, threads, of_positives)

    def recruited(
        self, domains: Mapping[str, Sequence[str]], on_progress: Callable[[str, float], None]
    ) -> dict[str, Recruited]:
        recruiter, everyone = self.recruiter, range(len(self.positives))
        for done, name in enumerate(sorted(domains)):
            on_progress("profiles of known domains", done / len(domains))
            recruiter.seed(name, sorted(set(domains[name])), everyone)
        groups = recruiter.groups()
        for done, (cluster, members) in enumerate(groups):
            on_progress("profiles of clusters", done / len(groups))
            recruiter.seed_cluster(OF_CLUSTER + cluster, members)
        kept = {
            name: each
            for name, each in recruiter.found.items()
            if recruiter.n_clusters(each.members) >= 2 or name in domains or self.sparse_share(each) == 1
        }
        if not kept:
            found = "no domain that two clusters share"
            expected = "proteins of the positive class in more than one cluster each"
            raise ProfileError(f"profiles: found {found}; expected {expected}")
        return kept

    def shortened(self, found: dict[str, Recruited]) -> dict[str, Recruited]:
        """Keep of long profiles what few of the others have."""
        names = [name for name, each in found.items() if each.is_long]
        others = np.flatnonzero(~self.is_positive)
        tokens = [self.proteins.tokens[i] for i in others]
        against = by_profile(search([found[n].hmm for n in names], tokens, self.alphabet, self.threads), len(names))
        recruiter, weight = self.recruiter, self.weight
        made = dict(found)
        for name, wrong in zip(names, against, strict=True):
            right = found[name].hits
            states = np.array([hit.states for hit in [*right, *wrong]])
            weights = [weight[self.positives[hit.protein]] for hit in right] + [
                -weight[others[h.protein]] for h in wrong
            ]
            members = envelopes(right, recruiter.sequences, recruiter.clusters)
            made[name] = found[name]._replace(hmm=shortened(name, found[name].hmm, members, states, np.array(weights)))
        return made

    def counted(
        self, candidates: Mapping[str, Recruited], hits: Sequence[Hit], unlabelled: Sequence[TokenArray]
    ) -> tuple[list[Hit], list[TokenArray]]:
        """Take unlabelled proteins that come nearest to profiles of other groups for none of the positive class.

        Parameters
        ----------
        hits : sequence of Hit
            In the training proteins and the unlabelled ones after them.

        Returns
        -------
        hits : list of Hit
            In the training proteins, which now include the former, and there those of profiles of other groups.
        relatives : list of ndarray of uint8, each of shape (L,)
            The other unlabelled proteins.
        """
        n = len(self.proteins.tokens)
        is_foreign = [self.sparse_share(each) < _FOREIGN_SHARE for each in candidates.values()]
        labelled = [hit for hit in hits if hit.protein < n]
        thresholds = [self._threshold(own) for own in by_profile(labelled, len(candidates))]
        best = dict[int, tuple[float, bool]]()
        for hit in hits:
            if hit.protein >= n:
                margin = hit.bits - thresholds[hit.profile], is_foreign[hit.profile]
                best[hit.protein] = max(best.get(hit.protein, margin), margin)
        foreign = sorted(i for i, (margin, is_theirs) in best.items() if is_theirs and margin >= -NEAR_BITS)
        row_of = {i: n + k for k, i in enumerate(foreign)}
        names = [f"unlabelled:{i}" for i in foreign]
        self.proteins = self.proteins._replace(
            frame=pd.concat([self.proteins.frame, pd.DataFrame({"id": names, "cluster": names})], ignore_index=True),
            tokens=[*self.proteins.tokens, *(unlabelled[i - n] for i in foreign)],
            labels=np.append(self.proteins.labels, np.zeros(len(foreign), dtype=np.int64)),
        )
        self.clusters, self.is_positive = self.proteins.frame["cluster"].to_numpy(), self.proteins.is_positive
        self.weight = self.proteins.cluster_weights
        against = [
            hit._replace(protein=row_of[hit.protein])
            for hit in hits
            if hit.protein in row_of and is_foreign[hit.profile]
        ]
        return [*labelled, *against], [tokens for i, tokens in enumerate(unlabelled, start=n) if i not in row_of]

    def _threshold(self, hits: Sequence[Hit]) -> float:
        return threshold_of(hits, self.is_positive, self.weight)

    def chosen(
        self, candidates: dict[str, Recruited], domains: Mapping[str, Sequence[str]], hits: Sequence[Sequence[Hit]]
    ) -> list[tuple[Profile, Sequence[Hit]]]:
        """Find thresholds, and leave out what never tells the classes apart or repeats other profiles."""
        profiles, found = [], []
        for (name, each), own in zip(candidates.items(), hits, strict=True):
            least = self._threshold(own)
            if np.isfinite(least):
                family = self._family(self.positives[each.members].tolist())
                profiles.append(Profile(each.hmm, name, family, least, "domain" if name in domains else "cluster"))
                found.append(own)
        if not profiles:
            among = f"none of {len(candidates)} that tells the positive class from the other"
            expected = f"at least one of {MIN_PRECISION:.0%} precision at some score"
            raise ProfileError(f"profiles: found {among}; expected {expected}")
        margins = [
            {hit.protein: hit.bits - profile.threshold for hit in own if self.is_positive[hit.protein]}
            for profile, own in zip(profiles, found, strict=True)
        ]
        above = [{i: margin for i, margin in each.items() if margin >= 0} for each in margins]
        own_shares = self._own_shares(profiles, found, above)
        least_own = []
        for profile, covered, own_share in zip(profiles, above, own_shares, strict=True):
            # What one cluster tells, a homology search tells: a profile covers two alone, or has another reason.
            is_kept = profile.kind == "domain" or self.sparse_share(candidates[profile.name]) == 1
            n_clusters = len(set(self.clusters[list(covered)]))
            least_own.append(max(2, ceil(own_share * n_clusters)) if own_share else 1 if is_kept else 2)
        states = [profile.hmm.M for profile in profiles]
        dropped = redundant(above, self.clusters.tolist(), states, least_own, [share > 0 for share in own_shares])
        pairs = zip(profiles, found, strict=True)
        return [pair for pair, is_dropped in zip(pairs, dropped, strict=True) if not is_dropped]

    def _own_shares(
        self, profiles: Sequence[Profile], hits: Sequence[Sequence[Hit]], above: Sequence[Mapping[int, float]]
    ) -> list[float]:
        """Return the share of its clusters that a profile must cover alone; 0 unless it repeats a known domain's."""
        domains = [
            ({hit.protein for hit in own}, each.family)
            for each, own in zip(profiles, hits, strict=True)
            if each.kind == "domain"
        ]
        own_shares = []
        for profile, covered in zip(profiles, above, strict=True):
            total = sum(self.weight[i] for i in covered)
            shared = [(sum(self.weight[i] for i in covered if i in domain), family) for domain, family in domains]
            most, family = max(shared, default=(0.0, ""))
            is_more = profile.kind == "domain" or len(set(self.clusters[list(covered)])) < 2
            share = _OWN_SHARE_IN_FAMILY if family and family == profile.family else _OWN_SHARE
            own_shares.append(0.0 if is_more or most < _SAME_SHARE * total else share)
        return own_shares

    def sparse_share(self, each: Recruited) -> float:
        """Return the share of the members of a profile that are of sparse groups."""
        return float(self.sparse[self.positives[each.members]].mean())

    def _family(self, members: Sequence[int]) -> str:
        """Name the family that most clusters of known family agree on; empty where there is none."""
        families, shares = self.families, defaultdict[str, float](float)
        clusters = Counter(self.clusters[i] for i in members if families[i])
        for i in members:
            if families[i]:
                shares[families[i]] += 1 / clusters[self.clusters[i]]
        name = max(shares, key=shares.__getitem__, default="")
        return name if shares[name] >= _FAMILY_SHARE * sum(shares.values()) else ""
