"""Channels beside a trained network: made from the training split, stacked on the validation split."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tfclass.bundle.bundle import Bundle, find_bundle, load_bundle, read_card
from tfclass.bundle.card import CHANNELS_SECTION, channels_section
from tfclass.bundle.save import BUNDLE_FOLDER, save_bundle
from tfclass.bundle.scorer import Scorer
from tfclass.channels.registry import CHANNELS
from tfclass.channels.stacking import PREFILTER, fit_stackings
from tfclass.config import SplitConfig
from tfclass.data.split import check_classes, select_split
from tfclass.errors import ConfigError
from tfclass.io.folders import check_replaceable
from tfclass.pipelines.profiles import read_clustered
from tfclass.pipelines.provenance import check_unseen


def attach(
    model: str,
    table: Path,
    output: Path,
    sources: Mapping[str, Path | None],
    *,
    prefilter: float = PREFILTER,
    threads: int = 1,
) -> Bundle:
    """Put channels beside a trained network, and stack all of them on the validation split.

    Parameters
    ----------
    model : str
        A bundle's folder or the name of a shipped one; of two classes. Channels that it has stay, unless they are made
        anew.
    table : Path
        The table that the network was trained on, or one with the same splits.
    output : Path
        The bundle to write.
    sources : mapping of str to (Path or None)
        Names of channels (`CHANNELS`); each with the file that it is made from, or None where it is made from the
        training split alone.
    prefilter : float
        Least log-odds of the network of a protein that other channels search; from -8 on down they search all.
    threads : int
        For searches.

    Raises
    ------
    TfclassError
        No channel is named, an input cannot be used, a program is missing, or the output cannot be written.
    """
    if not sources:
        raise ConfigError("attach: no channel to put beside the network; name profiles, homology or both")
    source = find_bundle(model)
    check_replaceable(output, BUNDLE_FOLDER)
    bundle = load_bundle(source)
    proteins = read_clustered(table, bundle.classes)
    train, valid = (select_split(proteins, split, str(table)) for split in ("train", "valid"))
    check_classes(train, "train", str(table))
    check_classes(valid, "valid", str(table))
    check_unseen(bundle, proteins, valid, "valid", SplitConfig.default(), str(table))
    made = {
        name: CHANNELS[name].from_training(train, bundle.alphabet, path, str(table)) for name, path in sources.items()
    }
    channels = {name: made.get(name) or bundle.channels[name] for name in CHANNELS if name in {*made, *bundle.channels}}
    terms = {
        name: channel.group_terms(channel.score(train.tokens, threads), train)
        for name, channel in channels.items()
        if channel.n_groups
    }
    network = Scorer(bundle, "network").channels
    scores = {name: channel.score(valid.tokens, threads) for name, channel in (network | channels).items()}
    stacked = fit_stackings(network | channels, scores, valid.is_positive, terms, prefilter)
    joined = replace(bundle, channels=channels, stacked=stacked)
    save_bundle(joined, output, read_card(source).split(CHANNELS_SECTION)[0] + channels_section(joined))
    return joined
