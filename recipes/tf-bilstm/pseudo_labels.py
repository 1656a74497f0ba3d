"""Make profiles with the recipe's names of families, and a training table with pseudo-labels of a teacher.

The training table has more proteins than the labelled one, families, and the places of DNA-binding domains. Only the
split ``train`` grows: the rows of valid and test keep their labels and their number. Rows that the teacher labelled say
so in their column ``source``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from rules import SHIPPED, Rules, read_rules
from script import run
from tfclass.bundle.bundle import Bundle, find_bundle, load_bundle
from tfclass.channels.other_profiles import NEAR_BITS
from tfclass.channels.profile import ProfileChannel
from tfclass.channels.regions import Region, read_regions
from tfclass.data.annotations import NO_DOMAIN
from tfclass.data.cells import cell_error
from tfclass.data.manifest import check_output, write_tsv
from tfclass.data.table import read_corpus
from tfclass.environment import available_cores
from tfclass.errors import BundleError
from tfclass.inference.predictor import Predictor
from tfclass.pipelines.profiles import build_profiles, read_clustered
from tfclass.search.hmmer import BestHit, Hit, Library, margins
from tfclass.sequences.alphabet import Alphabet, clean, cleaning_problem, merged, ranges_cell
from tfclass.sequences.fasta import Record, read_fasta
from tfclass.typing import BoolArray

SOURCE = "teacher"
# A domain annotated in a protein known to be a transcription factor may score a little less than one that makes it one.
GRACE_BITS = 3.0
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Table = Annotated[Path, typer.Argument(help="A labelled table with the columns cluster and split.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="The file to write.")]
Domains = Annotated[Path | None, typer.Option(help="Known DNA-binding domains: domain, start, end and sequence.")]
Unlabelled = Annotated[Path | None, typer.Option(help="FASTA of proteins without labels.")]
RulesFile = Annotated[Path, typer.Option("--rules", help="YAML in place of rules.yaml.")]


@app.command()
def profiles(
    table: Table, output: Output, domains: Domains = None, unlabelled: Unlabelled = None, rules: RulesFile = SHIPPED
) -> None:
    """Make profiles of the transcription factors in the split 'train'."""
    given, alphabet = read_rules(rules), Alphabet()
    records = _new_records(unlabelled, _letters(read_corpus(table)[0].frame, table), alphabet) if unlabelled else []
    library = build_profiles(
        table,
        output,
        domains,
        families_of=given.families_of,
        sparse=given.is_sparse,
        unlabelled=[alphabet.encode(each.sequence) for each in records if given.is_of_sparse_species(each.description)],
        believed=given.is_believed,
        naming=given.naming,
        threads=available_cores(),
    )
    typer.echo(f"{output}: {len(library.profiles):,} profiles of {library.states:,} states", err=True)


@app.command()
def label(
    table: Table,
    output: Output,
    teacher: Annotated[str, typer.Option(help="A model with profiles: a bundle folder, or a shipped one's name.")],
    domains: Domains = None,
    families: Annotated[Path | None, typer.Option(help="Transcription factors whose label is their family.")] = None,
    unlabelled: Unlabelled = None,
    rules: RulesFile = SHIPPED,
) -> None:
    """Make a training table with families, domains and pseudo-labels."""
    done = make_training_table(table, output, teacher, read_rules(rules), domains, families, unlabelled)
    for what, count in done.items():
        typer.echo(f"{what}: {count:,}", err=True)


def make_training_table(
    table: Path,
    output: Path,
    teacher: str,
    rules: Rules,
    domains: Path | None = None,
    families: Path | None = None,
    unlabelled: Path | None = None,
    *,
    threads: int = 0,
) -> dict[str, int]:
    """Write the training table, and return the number of proteins of each kind.

    Parameters
    ----------
    table : Path
        Two classes, with ``cluster`` and ``split``.
    output : Path
        .tsv or .tsv.gz.
    teacher : str
        A bundle's folder or the name of a shipped one, of the table's classes, with profiles and stacking.
    domains : Path, optional
        Known DNA-binding domains; see `read_regions`.
    families : Path, optional
        A table of transcription factors whose label is their family; where it has a column ``split``, only its training
        split is taken.
    unlabelled : Path, optional
        FASTA.
    threads : int, optional
        Of the search; by default all cores.
    """
    check_output(output)
    threads = threads or available_cores()
    bundle, library = _teacher(teacher)
    negative, positive = bundle.classes
    proteins = read_clustered(table, bundle.classes)
    regions = read_regions(domains) if domains else {}
    known = _letters(proteins.frame, table)
    as_given = read_corpus(table)[0].frame["label"]
    hits = library.hits(proteins.tokens, Alphabet(), threads)
    frame = proteins.frame.assign(label=as_given.to_numpy())
    best = library.best(hits, len(frame))
    rows = annotated(frame, proteins.is_positive, best, _places(hits, library), regions, rules, negative)
    is_taught = (rows["split"] == "train") & proteins.is_positive[rows.index]
    taught = rows["family"].where(rows["split"] == "train", "").reindex(proteins.frame.index, fill_value="")
    family_of_profile = names_of_profiles(list(taught), best, rules)
    # What a protein is repeated by: the kingdom of a positive one, the label of another.
    kingdoms = rows.get("kingdom", "")
    rows["group"] = rows["label"].mask(proteins.is_positive[rows.index], kingdoms)
    of_kingdom = rows["group"].where(is_taught, "")
    of_kingdom = of_kingdom.reindex(proteins.frame.index, fill_value="")
    kingdom_of_profile = names_of_profiles(list(of_kingdom), best, rules)
    taught_rows = rows.loc[is_taught]
    foreign = foreign_profiles([best[i].profile for i in taught_rows.index], rules.is_sparse(taught_rows))
    rows["label"] = np.where(proteins.is_positive[rows.index], positive, negative)
    added = [
        _of_regions(regions, known, positive),
        _of_families(families, known, positive, rules),
        _pseudo_labelled(
            unlabelled, known, bundle, library, rules, family_of_profile, kingdom_of_profile, foreign, threads
        ),
    ]
    whole = pd.concat([rows, *added], ignore_index=True).fillna("")
    result = _repeated(whole, rules)
    write_tsv(result, output)
    counts = Counter(added[2]["label"])
    return {
        "rows": len(result),
        "contradictions left out": len(proteins.frame) - len(rows),
        "of known domains": len(added[0]),
        "of known families": len(added[1]),
        "pseudo-labelled as positive": counts[positive],
        "pseudo-labelled as negative": counts[negative],
        "repeated": len(result) - len(whole),
    }


def annotated(
    frame: pd.DataFrame,
    positive_N: BoolArray,
    best: Sequence[BestHit],
    places: Mapping[int, list[tuple[int, int]]],
    regions: Mapping[str, Sequence[Region]],
    rules: Rules,
    negative: str,
) -> pd.DataFrame:
    """Name families, place domains and leave out training proteins whose label is wrong or contradicted by profiles.

    Parameters
    ----------
    frame : DataFrame
        With ``label``, ``sequence``, ``split`` and maybe ``family``, ``kingdom`` and ``domains``.
    best : sequence of BestHit
        Of the table's proteins.
    places : mapping of int to list of (int, int)
        Where profiles of known domains match, by protein.
    regions : mapping of str to sequence of Region
        Known domains by sequence: they are taken as they are, and so are those of the table.
    negative : str
        Proteins of this label have no DNA-binding domain; one that is negative under another label may have.
    """
    frame = frame.assign(family=np.where(positive_N, rules.families_of(frame), ""))
    own = frame["domains"] if "domains" in frame else [""] * len(frame)
    rows = zip(own, frame["sequence"], frame["label"], positive_N, strict=True)
    frame["domains"] = [
        known or _domains(regions.get(sequence), places.get(i, []), label == negative, bool(is_positive))
        for i, (known, sequence, label, is_positive) in enumerate(rows)
    ]
    margin_N = margins(best)
    doubtful = (frame["label"] == negative) & (frame["split"] == "train")
    contradicts = doubtful.to_numpy() & ~positive_N & (margin_N > rules.contradiction_margin)
    is_wrong = ~rules.is_believed(frame) & (frame["split"] == "train").to_numpy()
    return frame.loc[~contradicts & ~is_wrong]


def names_of_profiles(names: Sequence[str], best: Sequence[BestHit], rules: Rules) -> dict[int, str]:
    """Return the name that almost all proteins of a profile share, by index into the library.

    A profile of a domain that several families have does not tell them apart.

    Parameters
    ----------
    names : sequence of str, length N
        Family or kingdom of the proteins searched; empty where unknown, and for those that must not be looked at.
    """
    members: dict[int, Counter[str]] = {}
    for name, found in zip(names, best, strict=True):
        if name and found.profile >= 0:
            members.setdefault(found.profile, Counter())[name] += 1
    most = {profile: counts.most_common(1)[0] for profile, counts in members.items()}
    return {
        profile: name
        for profile, (name, count) in most.items()
        if count >= rules.family_share * members[profile].total()
    }


def foreign_profiles(best_N: Sequence[int], sparse_N: BoolArray) -> set[int]:
    """Return the profiles that fit fewer transcription factors of sparse groups than others, by index into the library.

    Parameters
    ----------
    best_N : sequence of int, length N
        The best profile of each transcription factor of the training split, -1 for none.
    """
    of_others = Counter[int]()
    for profile, is_sparse in zip(best_N, sparse_N, strict=True):
        of_others[profile] += -1 if is_sparse else 1
    return {profile for profile, excess in of_others.items() if excess > 0 and profile >= 0}


def _teacher(name: str) -> tuple[Bundle, Library]:
    folder = find_bundle(name)
    bundle = load_bundle(folder)
    profiles = bundle.channels.get("profile")
    if not isinstance(profiles, ProfileChannel) or "combined" not in bundle.stacked:
        raise BundleError(f"{folder}: the teacher has no profiles; add some with `tfclass model attach`")
    return bundle, profiles.library


def _letters(frame: pd.DataFrame, path: Path) -> set[str]:
    """Return the sequences; `TableError` where they are not in the letters that searches and places count by."""
    alphabet = Alphabet()
    for row, sequence in enumerate(frame["sequence"]):
        if problem := cleaning_problem(sequence, alphabet):
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


def _of_families(path: Path | None, known: set[str], label: str, rules: Rules) -> pd.DataFrame:
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
    named = [rules.family_of(name) for name in frame["label"]]
    columns = {"label": label, "family": named, "source": "families", "domains": "", "split": "train"}
    return frame.assign(id="families:" + frame["id"], **columns)


def _pseudo_labelled(
    path: Path | None,
    known: set[str],
    teacher: Bundle,
    library: Library,
    rules: Rules,
    family_of_profile: Mapping[int, str],
    kingdom_of_profile: Mapping[int, str],
    foreign: set[int],
    threads: int,
) -> pd.DataFrame:
    """Label proteins where the teacher is sure, or their profiles show what they are; each is a cluster of its own.

    Of the species of sparse groups, what is like a profile of other groups, or a profile of others fits best, is none
    unless the teacher is sure that it is; the former is left out then.
    """
    if path is None:
        return pd.DataFrame({"label": []})
    alphabet = teacher.alphabet
    records = _new_records(path, known, alphabet)
    probability_N = np.array([row.probability for row in Predictor(teacher).predict(records)])
    is_positive_N = probability_N >= rules.positive_probability
    sparse_N = np.array([rules.is_of_sparse_species(record.description) for record in records], dtype=bool)
    searched = np.flatnonzero(is_positive_N | sparse_N)
    hits = library.hits([alphabet.encode(records[i].sequence) for i in searched], alphabet, threads)
    best = dict(zip(searched, library.best(hits, len(searched)), strict=True))
    places = {searched[row]: found for row, found in _places(hits, library).items()}
    is_negative_N = probability_N <= rules.negative_probability
    for i in np.flatnonzero(sparse_N):
        is_foreign = best[i].profile in foreign and best[i].margin + best[i].lead_of_others >= -NEAR_BITS
        if is_foreign or best[i].lead_of_others:
            is_negative_N[i] = not is_positive_N[i]
            is_positive_N[i] &= not is_foreign
    positives = np.flatnonzero(is_positive_N)
    family_of = {i: family_of_profile.get(best[i].profile, "") for i in positives}
    kingdom_of = {i: kingdom_of_profile.get(best[i].profile, "") for i in positives}
    domains_of = {i: _domains(None, places.get(i, []), False, True) for i in positives}
    sure = np.flatnonzero(is_positive_N | is_negative_N)
    ids = [records[i].id for i in sure]
    columns = {
        "id": ids,
        "label": [teacher.classes[int(is_positive_N[i])] for i in sure],
        "source": SOURCE,
        "family": [family_of.get(i, "") for i in sure],
        "group": [kingdom_of.get(i, "") for i in sure],
        "domains": [domains_of.get(i, "") for i in sure],
        "cluster": ids,
        "split": "train",
        "sequence": [records[i].sequence for i in sure],
    }
    return pd.DataFrame(columns)


def _new_records(path: Path, known: set[str], alphabet: Alphabet) -> list[Record]:
    records = []
    for record in read_fasta(path):
        cleaned = clean(record.sequence, alphabet)
        sequence = alphabet.decode(cleaned.tokens)
        if not cleaned.problem and sequence not in known:
            known.add(sequence)
            records.append(Record(f"unlabelled:{len(records)}:{record.id}", record.description, sequence))
    return records


def _repeated(frame: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Put the training rows of some families into the table again, under ids of their own."""
    parts = [frame]
    for name, times in rules.repeats.items():
        rows = frame[(frame["group"] == name) & (frame["split"] == "train")]
        parts += [rows.assign(id=rows["id"] + f"~{again}") for again in range(2, times + 1)]
    return pd.concat(parts, ignore_index=True).fillna("").drop(columns="group")


def _places(hits: Sequence[Hit], library: Library) -> dict[int, list[tuple[int, int]]]:
    """Find where profiles of known domains match: of a cluster's profile nobody knows what its states are for."""
    found: dict[int, list[tuple[int, int]]] = {}
    for hit in hits:
        profile = library.profiles[hit.profile]
        if profile.kind == "domain" and hit.bits >= profile.threshold - GRACE_BITS:
            found.setdefault(hit.protein, []).extend(hit.envelopes)
    return found


def _domains(known: Sequence[Region] | None, found: list[tuple[int, int]], is_none: bool, is_positive: bool) -> str:
    if known:
        return ranges_cell(merged(region.place for region in known))
    if is_none:
        return NO_DOMAIN
    return ranges_cell(merged(found)) if is_positive else ""


if __name__ == "__main__":
    run(app)
