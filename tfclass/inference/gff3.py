"""Domains of predicted transcription factors as features: GFF3 and BED, on the proteins or on their genome.

References
----------
.. [1] L. Stein, "Generic Feature Format Version 3 (GFF3)", version 1.26, Sequence Ontology Project (2020).
.. [2] J. Niu, D. Denisko, M. M. Hoffman, "The Browser Extensible Data (BED) format", GA4GH (2022).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from tfclass.channels.domains import Domain, domain_of_accession, domain_of_family
from tfclass.channels.profile import ProfileChannel
from tfclass.errors import escaped
from tfclass.inference.genome import Genome, Part, lifted
from tfclass.inference.predictor import Predictor
from tfclass.inference.rows import Prediction
from tfclass.inference.writers import Facts, probability_text, text_of
from tfclass.io.gff3 import attribute, sequence_name
from tfclass.io.tsv import unbroken

# "DNA-binding transcription factor activity", and its kind that is specific to RNA polymerase II.
_ANY, _POLYMERASE_II = "GO:0003700", "GO:0000981"
TERM_OF_TAXON = {
    "bacteria": _ANY,
    "archaea": _ANY,
    "fungi": _POLYMERASE_II,
    "plants": _POLYMERASE_II,
    "animals": _POLYMERASE_II,
}
_GAPS = re.compile(r"(?:^|;)gaps_removed=(\d+)")
_UNNAMED = "DNA-binding domain"


class PlacedDomain(NamedTuple):
    """A domain on a protein.

    Attributes
    ----------
    start, end : int
        Residues counted from 1, both included.
    name : str
        Of the domain that the family has, or of the profile that matches.
    domain : Domain or None
        What is known about it.
    source : {'network', 'profile'}
        Who placed it.
    """

    start: int
    end: int
    name: str
    domain: Domain | None
    source: str


@dataclass(frozen=True)
class Features:
    """Facts that a file of features needs besides the rows.

    Attributes
    ----------
    is_positive : callable
        Row -> whether it is predicted positive.
    accessions : mapping of str to str
        Accession in Pfam of each profile of the model, by its name in a row.
    taxon : str, optional
        A key of `TERM_OF_TAXON`.
    genome : Genome, optional
        Where the proteins are; without it, places are those on the proteins.
    """

    is_positive: Callable[[Prediction], bool]
    accessions: Mapping[str, str] = field(default_factory=dict)
    taxon: str | None = None
    genome: Genome | None = None

    @classmethod
    def of(cls, predictor: Predictor, taxon: str | None = None, genome: Genome | None = None) -> "Features":
        """Collect what a predictor knows."""
        channel = predictor.bundle.channels.get("profile")
        profiles = channel.library.profiles if isinstance(channel, ProfileChannel) else ()
        accessions = {profile.name.replace("_", " "): profile.accession for profile in profiles}
        return cls(predictor.is_positive, accessions, taxon, genome)

    def domains(self, row: Prediction) -> list[PlacedDomain]:
        """Return the domains of a predicted positive, in the order of the row."""
        values = row.details
        source = values.get("domain_source") or ("profile" if values.get("profile") else "network")
        if source == "profile":
            name = str(values["profile"])
            known = domain_of_accession(self.accessions.get(name, ""))
        else:
            known = domain_of_family(values.get("family") or "")
            name = known.name if known else _UNNAMED
        places = (place.split("-") for place in (values.get("domain") or "").split(";") if place)
        return [PlacedDomain(int(start), int(end), name, known, source) for start, end in places]


def write_gff3(predictions: Iterable[Prediction], stream: BinaryIO, facts: Facts, features: Features) -> None:
    """Write GFF3 [1]_: for each predicted positive a ``polypeptide``, for each of its domains a ``polypeptide_domain``.

    On proteins, every record that was scored has its line ``##sequence-region``, and one that was skipped a comment.
    Sequences and IDs are unique: a record without an id, or with that of an earlier one, is named by its number.
    """
    source = f"tfclass_v{facts['tfclass']}"
    regions = dict(features.genome.regions) if features.genome else {}
    with text_of(stream) as text:
        text.write("##gff-version 3\n# " + "; ".join(f"{key}={value}" for key, value in facts.items()) + "\n")
        for number, row in enumerate(predictions, start=1):
            if features.genome:
                if features.is_positive(row):
                    text.writelines(_on_genome(row, number, source, features, features.genome, regions))
            elif row.status != "ok":
                text.write(f"# skipped: record {number}, {unbroken(escaped(row.id))} ({row.notes})\n")
            else:
                text.writelines(_on_protein(row, number, source, features))


def write_bed(predictions: Iterable[Prediction], stream: BinaryIO, features: Features) -> None:
    """Write BED [2]_: the domains of predicted positives, with the probability in thousandths as score.

    On proteins these are six columns; on a genome twelve, with a block for each exon and the protein in the name.
    """
    genome = features.genome
    with text_of(stream) as text:
        for number, row in enumerate(predictions, start=1):
            if not features.is_positive(row):
                continue
            score = int(1000 * (row.probability or 0))
            if genome is None:
                chrom = _bed_name(row, number)
                for each in features.domains(row):
                    text.write(f"{chrom}\t{each.start - 1}\t{each.end}\t{each.name}\t{score}\t.\n")
                continue
            for parts in _places(row, genome):
                for each in features.domains(row):
                    name = f"{escaped(unbroken(row.id))} {each.name}"
                    text.write(_blocks(genome.wrapped(lifted(parts, each.start, each.end)), name, score))


def _on_protein(row: Prediction, number: int, source: str, features: Features) -> Iterator[str]:
    sequence = sequence_name(row.id, number, row.notes)
    # Places count gaps, too.
    gaps = _GAPS.search(row.notes)
    length = row.length + (int(gaps[1]) if gaps else 0)
    yield f"##sequence-region {sequence} 1 {length}\n"
    if not features.is_positive(row):
        return
    protein = f"record{number}"
    attributes = _protein_attributes(row, protein, features)
    yield _line(sequence, source, "polypeptide", 1, length, probability_text(row.probability), attributes=attributes)
    for n, each in enumerate(features.domains(row), start=1):
        attributes = _domain_attributes(row, each, f"{protein}.domain{n}", protein, features)
        yield _line(sequence, source, "polypeptide_domain", each.start, each.end, attributes=attributes)
    yield "###\n"


def _on_genome(
    row: Prediction, number: int, source: str, features: Features, genome: Genome, regions: dict[str, str]
) -> Iterator[str]:
    places = _places(row, genome)
    if not places:
        yield f"# without a place in the genome: record {number}, {unbroken(escaped(row.id))}\n"
    for copy, parts in enumerate(places, start=1):
        sequence, strand = parts[0].sequence, parts[0].strand
        if region := regions.pop(sequence, ""):
            yield f"{region}\n"
        protein = f"record{number}" + (f".copy{copy}" if len(places) > 1 else "")
        exons = lifted(parts, 1, row.length)
        whole = parts[0]._replace(start=min(part.start for part in exons), end=max(part.end for part in exons))
        at = genome.wrapped([whole])[0][1:3]
        attributes = _protein_attributes(row, protein, features)
        yield _line(
            sequence, source, "polypeptide", *at, probability_text(row.probability), strand, attributes=attributes
        )
        for n, each in enumerate(features.domains(row), start=1):
            attributes = _domain_attributes(row, each, f"{protein}.domain{n}", protein, features)
            for part in genome.wrapped(lifted(parts, each.start, each.end)):
                at = part.start, part.end
                yield _line(sequence, source, "polypeptide_domain", *at, ".", strand, part.phase, attributes=attributes)
        yield "###\n"


def _places(row: Prediction, genome: Genome) -> list[tuple[Part, ...]]:
    if _GAPS.search(row.notes):
        return genome.missed(row.id, "gaps in the sequence")
    return genome.find(row.id, row.length)


def _protein_attributes(row: Prediction, protein: str, features: Features) -> dict[str, Any]:
    values = row.details
    return {
        "ID": protein,
        "Name": row.id,
        "Note": values.get("description"),
        "Ontology_term": _term(row, features),
        "label": row.label,
        "family": values.get("family"),
        "family_source": values.get("family_source"),
    }


def _domain_attributes(
    row: Prediction, placed: PlacedDomain, name: str, protein: str, features: Features
) -> dict[str, Any]:
    known = placed.domain
    accessions = (("Pfam", known.pfam), ("InterPro", known.interpro)) if known else ()
    return {
        "ID": name,
        "Parent": protein,
        "Name": placed.name,
        "Dbxref": [f"{database}:{accession}" for database, accession in accessions if accession],
        "Ontology_term": _term(row, features),
        "domain_source": placed.source,
    }


def _term(row: Prediction, features: Features) -> str | None:
    # Classes of other names mean something else.
    return TERM_OF_TAXON.get(features.taxon or "", _ANY) if row.label == "TF" else None


def _line(
    sequence: str,
    source: str,
    kind: str,
    start: int,
    end: int,
    score: str = ".",
    strand: str = ".",
    phase: int | str = ".",
    *,
    attributes: Mapping[str, Any],
) -> str:
    written = ";".join(
        f"{key}={','.join(map(attribute, value if isinstance(value, list) else [value]))}"
        for key, value in attributes.items()
        if value
    )
    return "\t".join(map(str, (sequence, source, kind, start, end, score, strand, phase, written))) + "\n"


def _bed_name(row: Prediction, number: int) -> str:
    """Return the first column as in the FASTA file, where it is neither empty nor taken for another kind of line."""
    name = escaped(unbroken(row.id))
    if not name or "duplicate_id" in row.notes.split(";"):
        return sequence_name(row.id, number, row.notes)
    is_other = name.startswith("#") or name in ("track", "browser")
    return f"%{ord(name[0]):02X}{name[1:]}" if is_other else name.replace(" ", "%20")


def _blocks(parts: list[Part], name: str, score: int) -> str:
    """Write a line of twelve columns; parts that touch or overlap, as in a frameshift, are one block."""
    blocks: list[list[int]] = []
    for part in sorted(parts, key=lambda part: part.start):
        if blocks and part.start <= blocks[-1][1] + 1:
            blocks[-1][1] = max(blocks[-1][1], part.end)
        else:
            blocks.append([part.start, part.end])
    start, end = blocks[0][0] - 1, blocks[-1][1]
    sizes = ",".join(str(last - first + 1) for first, last in blocks)
    starts = ",".join(str(first - 1 - start) for first, _ in blocks)
    ends = f"{start}\t{end}"
    chrom, strand = parts[0].sequence, parts[0].strand
    return f"{chrom}\t{ends}\t{name}\t{score}\t{strand}\t{ends}\t0\t{len(blocks)}\t{sizes}\t{starts}\n"
