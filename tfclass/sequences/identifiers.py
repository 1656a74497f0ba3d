"""Ids of proteins that name an entry of a public database."""

import re

# The form of accessions that UniProt documents, with the number of an isoform or without.
_ACCESSION = r"([OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9](?:[A-Z][A-Z0-9]{2}[0-9]){1,2})(?:-[0-9]+)?"
_UNIPROT = re.compile(rf"(?:{_ACCESSION}|(?:sp|tr)\|{_ACCESSION}\|\S*)", re.ASCII)
# Proteins of RefSeq and GenBank; alone, between bars as NCBI once wrote them, or in its files of translated genes.
_REFSEQ, _GENBANK = r"[ANWXYZ]P_[0-9]{6,9}(?:\.[0-9]+)?", r"[A-Z]{3}[0-9]{5}(?:[0-9]{2})?\.[0-9]+"
_NCBI = re.compile(
    rf"(?:gi\|[0-9]+\|)?(?:(?:ref|gb|emb|dbj)\|)?({_REFSEQ}|{_GENBANK})(?:\|\S*)?|lcl\|\S+_prot_({_REFSEQ}|{_GENBANK})_[0-9]+",
    re.ASCII,
)


def entry_link(record_id: str) -> str | None:
    """Return the address of a protein's entry in UniProt or at NCBI, where its id has the form of one of theirs.

    Examples
    --------
    >>> entry_link("sp|P03069|GCN4_YEAST")
    'https://www.uniprot.org/uniprotkb/P03069/entry'
    >>> entry_link("NP_414879.3")
    'https://www.ncbi.nlm.nih.gov/protein/NP_414879.3'
    >>> entry_link("AT5G15210.1")
    """
    if match := _UNIPROT.fullmatch(record_id):
        return f"https://www.uniprot.org/uniprotkb/{match[1] or match[2]}/entry"
    match = _NCBI.fullmatch(record_id)
    return f"https://www.ncbi.nlm.nih.gov/protein/{match[1] or match[2]}" if match else None
