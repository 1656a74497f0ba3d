"""Table and teacher to a table that says more."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from tfclass.bundle.answers import answer, found_of
from tfclass.bundle.bundle import Bundle, find_bundle, load_bundle
from tfclass.channels.regions import Region, read_regions
from tfclass.data.cells import cell_error
from tfclass.data.manifest import check_output, write_tsv
from tfclass.data.preparation import read_corpus
from tfclass.errors import BundleError
from tfclass.pipelines.profiles import read_clustered
from tfclass.pipelines.pseudo_label_rules import (
    EnrichmentRules,
    enriched,
    families_of_profiles,
    pseudo_labelled,
    repeated,
)
from tfclass.search.hmmer import Library
from tfclass.sequences.alphabet import Alphabet
from tfclass.sequences.cleaning import clean, uncleaned
from tfclass.sequences.fasta import read_fasta
from tfclass.sequences.intervals import merged, ranges_cell


class Extras(NamedTuple):
    """What teaches a network beside a labelled table; each may be left out.

    Attributes
    ----------
    regions : Path or None
        Known DNA-binding domains; see `read_regions`.
    families : Path or None
        A table of transcription factors whose label is their family; where it has a column ``split``, only its training
        split is taken.
    unlabelled : Path or None
        FASTA.
    """

    regions: Path | None = None
    families: Path | None = None
    unlabelled: Path | None = None


def enrich_table(
    table: Path,
    output: Path,
    teacher: str,
    rules: EnrichmentRules,
    extras: Extras,
    *,
    threads: int = 1,
) -> dict[str, int]:
    """Make a training table that says more; see `tfclass.pipelines.pseudo_label_rules`.

    Parameters
    ----------
    table : Path
        Two classes, with ``cluster`` and ``split``.
    output : Path
        .tsv or .tsv.gz.
    teacher : str
        A bundle's folder or the name of a shipped one, of the table's classes and with profiles. What it says of
        unlabelled proteins, by all the evidence it has, is learned where it is sure.

    Returns
    -------
    dict of str to int
        What was done, and to how many proteins.

    Raises
    ------
    TfclassError
        An input cannot be used, or the output not be written.
    """
    check_output(output)
    bundle = _teacher(teacher)
    proteins = read_clustered(table, bundle.classes)
    library = cast(Library, bundle.profiles)
    regions = read_regions(extras.regions) if extras.regions else {}
    known = _letters(proteins.frame, table)
    as_given = read_corpus(table)[0].frame["label"]
    negative_label, positive_label = bundle.classes
    hits = library.hits(proteins.tokens, Alphabet(), threads)
    rows = enriched(
        proteins.frame.assign(label=as_given.to_numpy()),
        proteins.is_positive,
        hits,
        library,
        regions,
        rules,
        negative_label,
    )
    taught = rows["family"].where(rows["split"] == "train", "").reindex(proteins.frame.index, fill_value="")
    family_of_profile = families_of_profiles(list(taught), hits, library, rules)
    rows["label"] = np.where(proteins.is_positive[rows.index], positive_label, negative_label)
    added = [
        _of_regions(regions, known, positive_label),
        _of_families(extras.families, known, positive_label, rules),
        _of_unlabelled(extras.unlabelled, known, bundle, rules, family_of_profile, threads),
    ]
    whole = pd.concat([rows, *added], ignore_index=True).fillna("")
    result = repeated(whole, rules)
    write_tsv(result, output)
    counts = Counter(added[2]["label"])
    return {
        "rows": len(result),
        "contradictions left out": len(proteins.frame) - len(rows),
        "of known domains": len(added[0]),
        "of known families": len(added[1]),
        "unlabelled taken as positive": counts[positive_label],
        "unlabelled taken as negative": counts[negative_label],
        "repeated": len(result) - len(whole),
    }


def _teacher(name: str) -> Bundle:
    folder = find_bundle(name)
    bundle = load_bundle(folder)
    if bundle.profiles is None or "combined" not in bundle.combiners:
        action = "put some beside it with `tfclass model attach`"
        raise BundleError(str(folder), "a model without profiles", "a teacher that has them", action, path=str(folder))
    return bundle


def _letters(frame: pd.DataFrame, path: Path) -> set[str]:
    """Give the sequences; `TableError` where they could not be compared, nor places in them be counted, as they are."""
    alphabet = Alphabet()
    for row, sequence in enumerate(frame["sequence"]):
        if problem := uncleaned(sequence, alphabet):
            action = "`tfclass data import` writes them so"
            raise cell_error(str(path), row, "sequence", problem, "capital residue letters alone", action)
    return set(frame["sequence"])


def _of_regions(regions: dict[str, list[Region]], known: set[str], label: str) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for number, (sequence, found) in enumerate(regions.items()):
        if sequence not in known:
            name, places = f"domains:{number}", ranges_cell(merged(region.place for region in found))
            rows.append({"id": name, "label": label, "source": "domains", "domains": places, "cluster": name})
            rows[-1] |= {"split": "train", "sequence": sequence}
            known.add(sequence)
    return pd.DataFrame(rows)


def _of_families(path: Path | None, known: set[str], label: str, rules: EnrichmentRules) -> pd.DataFrame:
    if path is None:
        return pd.DataFrame()
    proteins = read_corpus(path)[0]
    frame = proteins.frame
    _letters(frame, path)
    if not proteins.clustered:
        # Each is a cluster of its own, and no relative of one that the other table calls by the same name.
        frame = frame.assign(cluster="families:" + frame["cluster"])
    taken = ~frame["sequence"].isin(list(known)) & ~frame["sequence"].duplicated()
    if "split" in frame:
        taken &= frame["split"] == "train"
    frame = frame.loc[taken]
    known.update(frame["sequence"])
    named = [rules.name_of(name) for name in frame["label"]]
    told = {"label": label, "family": named, "source": "families", "domains": "", "split": "train"}
    return frame.assign(id="families:" + frame["id"], **told)


def _of_unlabelled(
    path: Path | None,
    known: set[str],
    teacher: Bundle,
    rules: EnrichmentRules,
    family_of_profile: Mapping[int, str],
    threads: int,
) -> pd.DataFrame:
    if path is None:
        return pd.DataFrame({"label": []})
    alphabet, library = teacher.alphabet, cast(Library, teacher.profiles)
    ids, tokens, letters = [], [], []
    for record in read_fasta(path):
        cleaned = clean(record.sequence, alphabet)
        sequence = alphabet.decode(cleaned.tokens)
        if not cleaned.problem and sequence not in known:
            known.add(sequence)
            ids.append(f"unlabelled:{len(ids)}:{record.id}")
            tokens.append(cleaned.tokens)
            letters.append(sequence)
    hits = library.hits(tokens, alphabet, threads)
    found = found_of(
        answer(teacher, tokens, "network").network_NC,
        library.best(hits, len(tokens)),
        teacher.reference.search(tokens, alphabet, threads) if teacher.reference else None,
    )
    probability_N = teacher.combiners["combined"].probability(found)
    labels = (teacher.classes[0], teacher.classes[1])
    return pseudo_labelled(ids, letters, probability_N, hits, library, rules, labels, family_of_profile)
