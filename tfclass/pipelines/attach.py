"""Further channels of evidence beside a trained network: profiles, and a reference for homology search."""

from dataclasses import replace
from pathlib import Path

from tfclass.bundle.answers import answer, found_of
from tfclass.bundle.bundle import BUNDLE_FOLDER, Bundle, find_bundle, load_bundle, read_card, save_bundle
from tfclass.bundle.card import EVIDENCE_SECTION, evidence_section
from tfclass.channels.homology import Reference
from tfclass.config import SplitConfig
from tfclass.data.split import check_classes, select_split
from tfclass.data.table import LabelledProteins
from tfclass.errors import ConfigError
from tfclass.evaluation.stacking_fit import fit_combiners, profile_terms
from tfclass.io.folders import check_replaceable
from tfclass.pipelines.profiles import read_clustered, read_library
from tfclass.pipelines.provenance import check_unseen


def attach(
    model: str, table: Path, output: Path, *, profiles: Path | None = None, homology: bool = False, threads: int = 1
) -> Bundle:
    """Put channels of evidence beside a trained network, and fit how all are read on the validation split.

    Parameters
    ----------
    model : str
        A bundle's folder or the name of a shipped one; of two classes. Channels that it has stay, unless they are named
        here.
    table : Path
        The table that the network was trained on, or one with the same splits.
    output : Path
        The bundle to write.
    profiles : Path, optional
        From `tfclass.pipelines.profiles.build_profiles`.
    homology : bool
        Make the training split the reference of a homology search. The bundle then holds its sequences.

    Raises
    ------
    TfclassError
        Nothing is named, an input cannot be used, MMseqs2 is missing, or the output cannot be written.
    """
    if profiles is None and not homology:
        raise ConfigError("attach", "nothing to put beside the network", "profiles, homology or both")
    source = find_bundle(model)
    check_replaceable(output, BUNDLE_FOLDER)
    bundle = load_bundle(source)
    library = bundle.profiles if profiles is None else read_library(profiles)
    proteins = read_clustered(table, bundle.classes)
    train, valid = (_of_both_classes(proteins, split, table) for split in ("train", "valid"))
    check_unseen(bundle, proteins, valid, "valid", SplitConfig(), str(table))
    reference = bundle.reference
    if homology:
        reference = Reference(tuple(train.frame["id"]), train.tokens, train.labels)
        reference.check_size(str(table))
    terms_KJ = None
    if library:
        evidence = library.search(train.tokens, bundle.alphabet, threads)
        terms_KJ = profile_terms(library, evidence, train.is_positive, train.frame["cluster"].to_numpy())
    found = found_of(
        answer(bundle, valid.tokens, "network").network_NC,
        library.search(valid.tokens, bundle.alphabet, threads) if library else None,
        reference.search(valid.tokens, bundle.alphabet, threads) if reference else None,
    )
    combiners = fit_combiners(found, valid.is_positive, terms_KJ)
    joined = replace(bundle, profiles=library, reference=reference, combiners=combiners)
    card = read_card(source)
    save_bundle(joined, output, card.split(EVIDENCE_SECTION)[0] + evidence_section(joined))
    return joined


def _of_both_classes(proteins: LabelledProteins, split: str, table: Path) -> LabelledProteins:
    part = select_split(proteins, split, str(table))
    check_classes(part, split, str(table))
    return part
