"""Profiles of proteins that are none of the positive class, though they have a fold in common with some.

A histone resembles the histone fold of NF-Y, a protein that bends DNA the HMG box of SOX. What such proteins have where
a profile fits them is aligned as `tfclass.channels.build_profiles` does with the positive class, and a protein that
fits such a profile better loses the difference of its margin (`tfclass.search.hmmer.BestHit`).
"""

from collections.abc import Sequence

import numpy as np

from tfclass.channels.align_profiles import Recruiter
from tfclass.channels.select_profiles import by_profile, threshold_of
from tfclass.data.table import LabelledProteins
from tfclass.search.hmmer import Hit, Library, Profile, search
from tfclass.sequences.alphabet import Alphabet

# Proteins so many bits below a threshold are taken for examples; and the residues beside a domain that go with it.
NEAR_BITS, _FLANK = 8.0, 10
# A positive protein that scores so many bits less than with its best profile is not at stake.
_FAR_BITS = 10.0


def other_profiles(
    library: Library, hits: Sequence[Hit], proteins: LabelledProteins, alphabet: Alphabet, threads: int = 1
) -> list[Profile]:
    """Make profiles of the other class where it comes near one of the library.

    Parameters
    ----------
    library : Library
        Of the positive class.
    hits : sequence of Hit
        Of the library in the training proteins.
    proteins : LabelledProteins
        The training proteins.

    Returns
    -------
    list of Profile
        Named after the profile that the seed is nearest to; names may repeat.
    """
    best = library.best(hits, len(proteins.tokens))
    place = {(hit.protein, hit.profile): hit.envelopes[0] for hit in hits}
    positive_N = proteins.is_positive
    near = [i for i, found in enumerate(best) if not positive_N[i] and found.margin >= -NEAR_BITS]
    clusters = proteins.frame["cluster"].to_numpy()
    sequences = []
    for i in near:
        start, end = place[i, best[i].profile]
        sequences.append(alphabet.decode(proteins.tokens[i])[max(0, start - 1 - _FLANK) : end + _FLANK])
    recruiter = Recruiter(sequences, clusters[near].tolist(), alphabet, threads)
    nearest = {}
    for cluster, members in recruiter.groups():
        nearest[cluster] = library.profiles[best[near[members[0]]].profile].name
        recruiter.seed_cluster(cluster, members, range(len(near)))
    found = {name: each for name, each in recruiter.found.items() if recruiter.n_clusters(each.members) >= 2}
    at_stake = [i for i, hit in enumerate(best) if positive_N[i] or hit.margin >= -NEAR_BITS]
    searched = search([each.hmm for each in found.values()], [proteins.tokens[i] for i in at_stake], alphabet, threads)
    weight_N = proteins.cluster_weights
    profiles = []
    for (name, each), own in zip(found.items(), by_profile(searched, len(found)), strict=True):
        placed = [hit._replace(protein=at_stake[hit.protein]) for hit in own]
        near_best = [hit for hit in placed if hit.bits > best[hit.protein].bits - _FAR_BITS]
        least = threshold_of(near_best, ~positive_N, weight_N)
        if np.isfinite(least):
            profiles.append(Profile(each.hmm, f"other {nearest[name]}", "", least, "other"))
    return profiles
