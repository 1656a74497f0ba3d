"""From places in a protein to places in a genome, through the CDS features of a GFF3 file.

A protein has the CDS whose ``protein_id``, ``ID``, ``Name`` or ``Parent`` is the protein's id, and whose bases are as
many as its residues need. The rows of one transcript are one CDS, in the order of translation.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote

from tfclass.errors import GenomeError
from tfclass.io.reading import DAMAGED, decompressed

# In the order in which they are asked.
_KINDS = ("protein_id", "ID", "Name", "Parent")
# What NCBI and Ensembl put before an accession to tell features of several kinds apart.
_PREFIX = re.compile(r"(?:cds|rna|gene|transcript|mrna|protein)[-:]", re.IGNORECASE)
_VERSION = re.compile(r"\.\d+$")
# Of NCBI's files of translated CDS: lcl|NC_000913.3_prot_NP_414542.1_1.
_TRANSLATED = re.compile(r".+_prot_(.+)_\d+")
_REGION = re.compile(r"##sequence-region\s+(\S+)\s+1\s+[1-9][0-9]{0,17}\s*")
_GTF = re.compile(r'\w+ "')
_MAX_LINE_BYTES = 1 << 20
_SHOWN = 5


class Part(NamedTuple):
    """A range of bases on one strand of a sequence of the genome.

    Attributes
    ----------
    sequence : str
        As in the GFF3 file.
    start, end : int
        Bases counted from 1, both included; the start is the smaller number on either strand.
    strand : {'+', '-'}
    phase : int
        Bases, from where the translation comes, before the first whole codon.
    """

    sequence: str
    start: int
    end: int
    strand: str
    phase: int

    @property
    def size(self) -> int:
        """Number of bases."""
        return self.end - self.start + 1


class Genome:
    """The CDS of a genome, by the names that a protein may have.

    Attributes
    ----------
    regions : dict of str to str
        The lines ``##sequence-region`` by the sequence that they are about.
    problems : Counter of str
        Why proteins were not found, so far.
    missing : list of str
        The first of these proteins.
    """

    def __init__(self) -> None:
        self.regions: dict[str, str] = {}
        self.problems: Counter[str] = Counter()
        self.missing: list[str] = []
        self._sequences: dict[str, int] = {}
        self._transcripts: dict[str, int] = {}
        # Of each row: sequence, start, end, strand and phase as one number, and transcript.
        self._columns = tuple(array(code) for code in "IqqbI")
        self._rows_of: dict[str, dict[str, array[int]]] = {kind: {} for kind in _KINDS}

    def __len__(self) -> int:
        return len(self._columns[0])

    def add(self, part: Part, source: str, attributes: dict[str, str]) -> None:
        """Add a row of the type CDS; one of several parents counts for each of them."""
        sequence = self._sequences.setdefault(part.sequence, len(self._sequences))
        code = (4 if part.strand == "-" else 0) + part.phase
        for parent in map(unquote, attributes.get("Parent", "").split(",")):
            row = len(self)
            names = {kind: unquote(attributes.get(kind, "")) for kind in _KINDS} | {"Parent": parent}
            # Bacterial genes may have several CDS, which differ in their protein.
            text = f"{parent}\t{names['protein_id']}" if parent else names["ID"] or str(row)
            transcript = self._transcripts.setdefault(text, len(self._transcripts))
            for column, value in zip(self._columns, (sequence, part.start, part.end, code, transcript), strict=True):
                column.append(value)
            if "rodigal" in source:
                # Its proteins are called after the sequence, not as the ID is.
                names["ID"] = f"{unquote(part.sequence)}_{names['ID'].rpartition('_')[2]}"
            known = set()
            for kind, name in names.items():
                for each in {name, _PREFIX.sub("", name, count=1)} - known - {""}:
                    known.add(each)
                    self._rows_of[kind].setdefault(each, array("I")).append(row)

    def find(self, protein: str, length: int) -> list[tuple[Part, ...]]:
        """Find the CDS of a protein, of which a genome may have several copies; what is not found is counted.

        Parameters
        ----------
        protein : str
            Its id; a version behind a dot may be missing in the GFF3 file.
        length : int
            Residues. The CDS has three bases for each, and up to three more: the stop codon, or a part of a codon
            where a gene is cut by the end of a sequence.
        """
        problem = "no CDS of this name"
        for name in _names_of(protein):
            for rows_of in self._rows_of.values():
                found = self._assembled(rows_of.get(name, ()))
                fitting = [parts for parts in found if 3 * length <= n_bases(parts) <= 3 * length + 3]
                if fitting:
                    return list(dict.fromkeys(fitting))
                problem = "CDS of another length" if found else problem
        return self.missed(protein, problem)

    def missed(self, protein: str, problem: str) -> list[tuple[Part, ...]]:
        """Count a protein as not found, and return no CDS."""
        self.problems[problem] += 1
        if len(self.missing) < _SHOWN:
            self.missing.append(protein)
        return []

    def wrapped(self, parts: list[Part]) -> list[Part]:
        """Move what lies behind the end of a circular sequence to its start, as GFF3 counts on over the origin."""
        size = self._size(parts[0].sequence)
        return [
            part._replace(start=part.start - size, end=part.end - size) if 0 < size < part.start else part
            for part in parts
        ]

    def summary(self) -> Iterator[str]:
        """Yield a line about the proteins that were not found, where there are any."""
        if number := self.problems.total():
            why = ", ".join(f"{n:,} with {problem}" for problem, n in self.problems.most_common())
            more = ", ..." if number > len(self.missing) else ""
            names = ", ".join(name or "(no id)" for name in self.missing)
            yield f"{number:,} protein{'s' * (number != 1)} without a place in the genome ({why}): {names}{more}"

    def _size(self, sequence: str) -> int:
        """Return the number of bases of a sequence; 0 where it is not told."""
        return int(self.regions[sequence].split()[3]) if sequence in self.regions else 0

    def _assembled(self, rows: Sequence[int]) -> list[tuple[Part, ...]]:
        """Return the CDS of some rows, one for each transcript; none that is on several strands or sequences."""
        names = list(self._sequences) if rows else []
        of_transcript: dict[int, list[Part]] = {}
        for row in rows:
            sequence, start, end, code, transcript = (column[row] for column in self._columns)
            part = Part(names[sequence], start, end, "-" if code >= 4 else "+", code % 4)
            of_transcript.setdefault(transcript, []).append(part)
        return [
            _in_order(parts, self._size(parts[0].sequence))
            for parts in of_transcript.values()
            if len({(part.sequence, part.strand) for part in parts}) == 1
        ]


def n_bases(parts: Sequence[Part]) -> int:
    """Count the bases of a CDS from its first whole codon on."""
    return sum(part.size for part in parts) - parts[0].phase


def lifted(parts: Sequence[Part], first: int, last: int) -> list[Part]:
    """Return where residues of a protein are in the genome: a part for each exon, in the order of translation.

    Parameters
    ----------
    parts : sequence of Part
        The CDS of the protein.
    first, last : int
        Residues counted from 1, both included.

    Examples
    --------
    >>> exons = [Part("chr1", 101, 107, "+", 0), Part("chr1", 201, 208, "+", 2)]
    >>> [tuple(part) for part in lifted(exons, 2, 4)]
    [('chr1', 104, 107, '+', 0), ('chr1', 201, 205, '+', 2)]
    """
    found, done = [], -parts[0].phase
    for part in parts:
        low, high = max(3 * (first - 1), done), min(3 * last, done + part.size)
        if low < high:
            before, size = low - done, high - low
            start = part.start + before if part.strand == "+" else part.end - before - size + 1
            found.append(part._replace(start=start, end=start + size - 1, phase=-low % 3))
        done += part.size
    return found


def read_genome(path: Path) -> Genome:
    """Read the CDS features of a GFF3 file, plain or compressed.

    Raises
    ------
    GenomeError
        It cannot be read, is no GFF3, or has no CDS.
    """
    genome = Genome()
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(_lines(decompressed(stream), path), start=1):
                if match := _REGION.fullmatch(line):
                    genome.regions[match[1]] = line
                elif "\tCDS\t" in line and not line.startswith("#"):
                    part, source, attributes = _parsed(line, f"{path}, line {number}")
                    genome.add(part, source, attributes)
    except OSError as error:
        raise GenomeError(f"{path}: found a file that cannot be read ({error.strerror or error})") from error
    except DAMAGED as error:
        raise GenomeError(f"{path}: found compressed data that is cut short or damaged ({error})") from error
    if not len(genome):
        raise GenomeError(f"{path}: found no CDS; expected the GFF3 file of the genome that the proteins are from")
    return genome


def _lines(stream: BinaryIO, path: Path) -> Iterator[str]:
    """Yield the lines ahead of a FASTA part."""
    while line := stream.readline(_MAX_LINE_BYTES):
        if len(line) == _MAX_LINE_BYTES:
            raise GenomeError(f"{path}: found a line of more than a megabyte; expected GFF3")
        text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
        if text.startswith(("##FASTA", ">")):
            return
        yield text


def _parsed(line: str, where: str) -> tuple[Part, str, dict[str, str]]:
    cells = line.split("\t")
    expected = "nine columns of GFF3, with start, end and strand of the CDS"
    if len(cells) != 9 or _GTF.match(cells[8]):
        found = "GTF" if len(cells) == 9 else f"{len(cells)} columns"
        raise GenomeError(f"{where}: found {found}; expected {expected}")
    sequence, source, _, start, end, _, strand, phase, attributes = cells
    if not (start.isdecimal() and end.isdecimal() and 1 <= int(start) <= int(end) < 1 << 62 and strand in ("+", "-")):
        raise GenomeError(f"{where}: found {start} to {end}, strand {strand!r}; expected {expected}")
    pairs = (pair.partition("=") for pair in attributes.split(";"))
    # Only that of the first part matters.
    part = Part(sequence, int(start), int(end), strand, int(phase) if phase in ("1", "2") else 0)
    return part, source, {key.strip(): value.strip() for key, _, value in pairs}


def _in_order(parts: list[Part], size: int) -> tuple[Part, ...]:
    """Return the parts in the order of translation: along the strand, on a circle of so many bases over its origin."""
    over = any(part.start == 1 for part in parts) and any(part.end == size for part in parts)

    def place(part: Part) -> int:
        return part.start + (size if over and part.start <= size // 2 else 0)

    return tuple(sorted(parts, key=place, reverse=parts[0].strand == "-"))


def _names_of(protein: str) -> Iterator[str]:
    """Yield what a GFF3 file may call a protein: its id, the parts of that, and these without their version."""
    names = [protein, *(part for part in protein.split("|") if part != protein and len(part) > 2)]
    names += [match[1] for name in names if (match := _TRANSLATED.fullmatch(name))]
    yield from (name for name in names if name)
    yield from (bare for name in names if (bare := _VERSION.sub("", name)) != name)
