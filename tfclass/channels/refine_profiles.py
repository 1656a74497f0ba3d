"""Profiles made anew with relatives that have no label, where a family has few labelled members.

Unlabelled proteins that fit a profile best, and well, are aligned to it with its members; columns that less than half
of them have fall away. The result takes the place of the profile where it finds at least as many clusters of the
positive class as precisely, so that a relative of another function does little harm.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tfclass.channels.align_profiles import RECRUIT_BITS, envelopes, realigned, spread
from tfclass.channels.select_profiles import by_profile, threshold_of
from tfclass.data.table import LabelledProteins
from tfclass.search.hmmer import Hit, Library, Profile, search
from tfclass.sequences.alphabet import Alphabet
from tfclass.typing import BoolArray, FloatArray, TokenArray

# Unlabelled proteins so many bits above the threshold are aligned, at most so many; and the rounds of this.
_MARGIN, _MAX_RELATIVES, _ROUNDS = 10.0, 300, 3
# Their best domain has so many of the profile's states: less may be the part that has another function.
_COVERAGE = 0.8

Found = tuple[Profile, Sequence[Hit]]


def refined(
    profiles: Sequence[Found],
    may_change: Sequence[bool],
    proteins: LabelledProteins,
    unlabelled: Sequence[TokenArray],
    alphabet: Alphabet,
    threads: int = 1,
) -> list[Found]:
    """Align unlabelled relatives to profiles that two clusters share.

    Parameters
    ----------
    profiles : sequence of (Profile, sequence of Hit)
        With their hits in the training proteins.
    may_change : sequence of bool
        Of each profile.
    proteins : LabelledProteins
        The training proteins.
    unlabelled : sequence of ndarray of uint8, each of shape (L,)
        None of them among the training proteins.

    Returns
    -------
    list of (Profile, sequence of Hit)
        In the same order.
    """
    found = list(profiles)
    positive_N, weight_N = proteins.is_positive, proteins.cluster_weights
    clusters = proteins.frame["cluster"].tolist()
    for _ in range(_ROUNDS if unlabelled else 0):
        relatives = _relatives(Library([profile for profile, _ in found]), unlabelled, alphabet, threads)
        anew: dict[int, Profile] = {}
        for k, (profile, hits) in enumerate(found):
            if not (may_change[k] and relatives[k]):
                continue
            least = max(profile.threshold, RECRUIT_BITS)
            own = [hit for hit in hits if positive_N[hit.protein] and hit.bits >= least]
            if len({clusters[hit.protein] for hit in own}) >= 2:
                sequences = {hit.protein: alphabet.decode(proteins.tokens[hit.protein]) for hit in own}
                members = envelopes(own, sequences, clusters)
                hmm = realigned(profile.name, profile.hmm, [*members, *relatives[k]])
                anew |= {k: profile._replace(hmm=hmm)} if hmm else {}
        searched = search([profile.hmm for profile in anew.values()], proteins.tokens, alphabet, threads)
        for k, hits in zip(anew, by_profile(searched, len(anew)), strict=True):
            found[k] = _better(found[k], anew[k], hits, positive_N, weight_N)
    return found


def _relatives(
    library: Library, unlabelled: Sequence[TokenArray], alphabet: Alphabet, threads: int
) -> dict[int, list[str]]:
    """Cut the best domain out of what fits each profile best."""
    hits = library.hits(unlabelled, alphabet, threads)
    best = library.best(hits, len(unlabelled))
    found = defaultdict[int, list[Hit]](list)
    for hit in hits:
        coverage = (hit.states[1] + 1 - hit.states[0]) / library.profiles[hit.profile].hmm.M
        is_best = best[hit.protein].profile == hit.profile and best[hit.protein].margin >= _MARGIN
        if is_best and coverage >= _COVERAGE:
            found[hit.profile].append(hit)
    relatives = defaultdict[int, list[str]](list)
    for profile, own in found.items():
        for hit in spread(own, _MAX_RELATIVES):
            start, end = hit.envelopes[0]
            relatives[profile].append(alphabet.decode(unlabelled[hit.protein][start - 1 : end]))
    return relatives


def _better(old: Found, anew: Profile, hits: Sequence[Hit], positive_N: BoolArray, weight_N: FloatArray) -> Found:
    """Return the new profile if it covers as many clusters above its threshold as the old one, else the old one."""
    new = (anew._replace(threshold=threshold_of(hits, positive_N, weight_N)), hits)

    def covered(profile: Profile, found: Sequence[Hit]) -> float:
        above = [hit.protein for hit in found if hit.bits >= profile.threshold and positive_N[hit.protein]]
        return float(weight_N[above].sum())

    return new if np.isfinite(new[0].threshold) and covered(*new) >= covered(*old) - 1e-9 else old
