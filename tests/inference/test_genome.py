"""Places in a genome, compared with the translation of their bases by Biopython."""

import gzip
import random

import pytest
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st

from tfclass.errors import GenomeError
from tfclass.inference.genome import Part, lifted, n_bases, read_genome

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
CODONS = {str(Seq(a + b + c).translate()): a + b + c for a in "TCAG" for b in "TCAG" for c in "TCAG"}


def gene(protein, strand, cuts, seed, phase=0):
    """A chromosome with the gene of a protein: its exons end where `cuts` says; a first codon may lack its start."""
    dice = random.Random(seed)
    coding = "".join(CODONS[residue] for residue in protein) + "TAA"
    coding = "ACGT"[:phase] + coding
    ends = sorted({cut % (len(coding) - 1) + 1 for cut in cuts} | {len(coding)})
    exons = [coding[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    filler = ["".join(dice.choices("ACGT", k=dice.randint(1, 9))) for _ in range(len(exons) + 1)]
    chromosome, parts = filler[0], []
    done = -phase
    for exon, intron in zip(exons, filler[1:], strict=True):
        parts.append([len(chromosome) + 1, len(chromosome) + len(exon), -done % 3])
        chromosome += exon + intron
        done += len(exon)
    if strand == "-":
        size = len(chromosome)
        chromosome = str(Seq(chromosome).reverse_complement())
        parts = [[size + 1 - end, size + 1 - start, phase] for start, end, phase in parts]
    return chromosome, [Part("chr1", start, end, strand, phase) for start, end, phase in parts]


def bases(chromosome, part):
    found = Seq(chromosome[part.start - 1 : part.end])
    return str(found.reverse_complement() if part.strand == "-" else found)


genes = st.tuples(
    st.text(RESIDUES, min_size=3, max_size=40),
    st.sampled_from("+-"),
    st.lists(st.integers(0, 10**6), max_size=6),
    st.integers(0, 10**6),
    st.sampled_from([0, 1, 2]),
)


@given(genes, st.data())
def test_what_lies_at_a_place_is_translated_to_the_residues_of_that_place(made, data):
    protein = made[0]
    chromosome, exons = gene(*made)
    assert n_bases(exons) == 3 * (len(protein) + 1)
    first = data.draw(st.integers(1, len(protein)))
    last = data.draw(st.integers(first, len(protein)))
    parts = lifted(exons, first, last)
    assert str(Seq("".join(bases(chromosome, part) for part in parts)).translate()) == protein[first - 1 : last]
    # A phase says where the first whole codon of a part begins.
    done = 0
    for part in parts:
        whole = bases(chromosome, part)[part.phase :]
        ahead = first - 1 + (done + part.phase) // 3
        assert (done + part.phase) % 3 == 0
        assert str(Seq(whole[: len(whole) // 3 * 3]).translate()) == protein[ahead : ahead + len(whole) // 3]
        done += part.size
    # No part leaves its exon.
    assert all(any(exon.start <= part.start <= part.end <= exon.end for exon in exons) for part in parts)


def rows_of(exons, attributes, source="x", phases=True):
    """CDS rows; attributes may hold the number of the row as {n}."""
    return [
        f"{e.sequence}\t{source}\tCDS\t{e.start}\t{e.end}\t.\t{e.strand}\t{e.phase if phases else '.'}\t"
        + attributes.format(n=n)
        for n, e in enumerate(exons, start=1)
    ]


def read(tmp_path, *lines, name="genome.gff3"):
    path = tmp_path / name
    path.write_text("\n".join(("##gff-version 3", *lines)) + "\n")
    return read_genome(path)


@given(genes, st.randoms())
def test_a_gene_is_found_whatever_the_order_of_its_rows(tmp_path_factory, made, dice):
    _, exons = gene(*made)
    shuffled = list(exons)
    dice.shuffle(shuffled)
    genome = read(tmp_path_factory.mktemp("genome"), *rows_of(shuffled, "ID=cds-P1;Parent=rna-T1"))
    assert [list(parts) for parts in genome.find("P1", len(made[0]))] == [exons]


EXONS = [Part("chr1", 11, 20, "+", 0), Part("chr1", 31, 41, "+", 2)]
NAMED = {
    "NCBI": ("NP_1.1", "ID=cds-NP_1.1;Parent=rna-NM_1.1;Name=NP_1.1;gbkey=CDS;protein_id=NP_1.1"),
    "NCBI, old header": ("gi|16|ref|NP_1.1|", "ID=cds-NP_1.1;Parent=gene-b1;protein_id=NP_1.1"),
    "NCBI, translated CDS": ("lcl|NC_1.3_prot_NP_1.1_7", "ID=cds-NP_1.1;Parent=gene-b1;protein_id=NP_1.1"),
    "NCBI, by locus": ("b0001", "ID=cds-NP_1.1;Parent=gene-b0001;protein_id=NP_1.1"),
    "Ensembl": ("ENSP01.3", "ID=CDS:ENSP01;Parent=transcript:ENST01;protein_id=ENSP01"),
    "Ensembl Plants": ("AT1G01010.1", "ID=CDS:AT1G01010.1;Parent=transcript:AT1G01010.1;protein_id=AT1G01010.1"),
    "Phytozome": ("AT1G01010.1", "ID=AT1G01010.1.CDS.{n};Parent=AT1G01010.1"),
    "TAIR": ("AT1G01010.1", "Parent=AT1G01010.1,AT1G01010.1-Protein;"),
    "Prokka": ("ABC_00001", "ID=ABC_00001;locus_tag=ABC_00001;product=x"),
    "by its UniProt accession": ("sp|P12345|A_B", "ID=x;Name=P12345;Parent=y"),
    "escaped": ("a;b=c,d", "ID=a%3Bb%3Dc%2Cd"),
}


@pytest.mark.parametrize(("protein", "attributes"), NAMED.values(), ids=list(NAMED))
def test_a_protein_is_found_by_what_the_file_calls_it(protein, attributes, tmp_path):
    genome = read(tmp_path, *rows_of(EXONS, attributes))
    assert genome.find(protein, 6) == [tuple(EXONS)]
    assert genome.find(protein, 7) == [tuple(EXONS)]
    assert list(genome.summary()) == []


def test_proteins_of_prodigal_are_named_after_their_sequence(tmp_path):
    rows = rows_of([Part("chr_1", 11, 31, "-", 0)], "ID=1_7;partial=00;start_type=ATG", "Prodigal_v2.6.3")
    assert len(read(tmp_path, *rows).find("chr_1_7", 6)) == 1


def test_isoforms_copies_and_shared_exons_are_told_apart(tmp_path):
    other = [Part("chr2", 5, 25, "-", 0)]
    genome = read(
        tmp_path,
        # Two isoforms that share their first exon; a protein at two places; two proteins of one gene.
        *rows_of(EXONS[:1], "ID=c1;Parent=t1,t2"),
        *rows_of(EXONS[1:], "ID=c2;Parent=t1"),
        *rows_of([EXONS[1]._replace(end=44)], "ID=c3;Parent=t2"),
        *rows_of(other, "ID=cds-WP_1.1;Parent=gene-a;protein_id=WP_1.1"),
        *rows_of([other[0]._replace(start=105, end=125)], "ID=cds-WP_1.1-2;Parent=gene-b;protein_id=WP_1.1"),
        *rows_of(other, "ID=cds-YP_1.1;Parent=gene-c;protein_id=YP_1.1"),
        *rows_of([other[0]._replace(end=34)], "ID=cds-YP_2.1;Parent=gene-c;protein_id=YP_2.1"),
    )
    assert genome.find("t1", 6) == [tuple(EXONS)]
    assert [parts[-1].end for parts in genome.find("t2", 7)] == [44]
    assert [parts[0].start for parts in genome.find("WP_1.1", 6)] == [5, 105]
    assert genome.find("YP_1.1", 6) == [tuple(other)]
    assert [parts[0].end for parts in genome.find("YP_2.1", 9)] == [34]


def test_what_does_not_match_is_named_and_counted(tmp_path):
    genome = read(
        tmp_path,
        *rows_of(EXONS, "ID=P1"),
        *rows_of([Part("chr1", 1, 9, "+", 0), Part("chr1", 21, 32, "-", 0)], "ID=trans"),
    )
    assert genome.find("P1", 5) == genome.find("P1", 8) == genome.find("P2", 7) == genome.find("trans", 6) == []
    (line,) = genome.summary()
    assert line.startswith(
        "4 proteins without a place in the genome (2 with CDS of another length, 2 with no CDS of this name): "
    )
    assert line.endswith(": P1, P1, P2, trans")


def test_a_gene_cut_by_the_end_of_a_sequence_has_a_part_of_a_codon(tmp_path):
    genome = read(tmp_path, *rows_of([Part("chr1", 1, 23, "+", 2)], "ID=P1;partial=true"))
    ((part,),) = genome.find("P1", 6)
    assert lifted([part], 1, 6) == [Part("chr1", 3, 20, "+", 0)]


def test_a_frameshift_of_the_ribosome_reads_a_base_twice(tmp_path):
    parts = [Part("chr1", 1, 10, "+", 0), Part("chr1", 10, 20, "+", 2)]
    genome = read(tmp_path, *rows_of(parts, "ID=P1;exception=ribosomal slippage"))
    assert genome.find("P1", 6) == [tuple(parts)]
    assert lifted(parts, 3, 4) == [Part("chr1", 7, 10, "+", 0), Part("chr1", 10, 11, "+", 2)]


def test_genes_over_the_origin_of_a_circle(tmp_path):
    over = [Part("chr1", 95, 101, "+", 0)]
    genome = read(
        tmp_path,
        "##sequence-region chr1 1 100",
        *rows_of([Part("chr1", 95, 115, "+", 0)], "ID=P1"),
        *rows_of([Part("chr1", 1, 12, "+", 0), Part("chr1", 92, 100, "+", 0)], "ID=P2"),
        *rows_of([Part("chr1", 94, 100, "-", 2), Part("chr1", 1, 14, "-", 0)], "ID=P3"),
    )
    ((one,),) = genome.find("P1", 6)
    assert genome.wrapped(lifted([one], 3, 5)) == [Part("chr1", 1, 9, "+", 0)]
    assert genome.wrapped(over) == over
    assert [part.start for part in genome.find("P2", 6)[0]] == [92, 1]
    assert [part.start for part in genome.find("P3", 6)[0]] == [1, 94]


def test_a_file_may_be_compressed_and_end_in_sequences(tmp_path):
    text = "##gff-version 3\r\n" + "\r\n".join(rows_of(EXONS, "ID=P1")) + "\r\n##FASTA\r\n>chr1\r\nACGT\tCDS\t\r\n"
    (tmp_path / "x").write_bytes(gzip.compress(text.encode()))
    assert len(read_genome(tmp_path / "x")) == 2


def test_a_line_of_nearly_a_megabyte_is_read(tmp_path):
    assert len(read(tmp_path, "#" * ((1 << 20) - 2), *rows_of(EXONS, "ID=P1"))) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found no CDS; expected the GFF3 file of the genome"),
        (b">chr1\nACGT\n", "found no CDS"),
        (b"##gff-version 3\nchr1\tx\tgene\t1\t9\t.\t+\t.\tID=a\n", "found no CDS"),
        (b'chr1\tx\tCDS\t1\t9\t.\t+\t0\tgene_id "a"; protein_id "b";\n', "line 1: found GTF; expected nine columns"),
        (b"\nchr1\tx\tCDS\t9\t1\t.\t+\t0\tID=a\n", "line 2: found 9 to 1, strand '+'; expected"),
        (b"chr1\tx\tCDS\t1\tx\t.\t+\t0\tID=a\n", "line 1: found 1 to x"),
        (b"chr1\tx\tCDS\t1\t9\t.\t.\t0\tID=a\n", "strand '.'; expected"),
        (b"chr1\tx\tCDS\t1\t9\n", "line 1: found 5 columns"),
        (gzip.compress(b"chr1\tx\tCDS\t1\t9\t.\t+\t0\tID=a\n")[:-9], "compressed data that is cut short"),
        (b"a" * (1 << 20), "a line of more than a megabyte"),
        (None, "cannot be read (No such file"),
    ],
    ids=[
        "empty",
        "FASTA",
        "no CDS",
        "GTF",
        "backwards",
        "no number",
        "no strand",
        "cut",
        "cut gzip",
        "endless",
        "none",
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(content, message, tmp_path):
    path = tmp_path / "genome.gff3"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GenomeError) as caught:
        read_genome(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
