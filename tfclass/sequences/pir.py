"""NBRF/PIR records, which look like FASTA: the line behind the header is a title, and ``*`` ends the sequence.

Read as FASTA, the letters of the title would become residues. But ``>P1;X`` may also be the header of a FASTA record,
so the second line decides.
"""

import re

# Characters behind the header that are looked at.
LOOK_CHARACTERS = 4096

# The type of the molecule, and a semicolon.
_HEADER = re.compile(r"[ \t]*(?:P1|F1|D[1CL]|R[CL]|N[13]|XX);", re.IGNORECASE)
_RESIDUES = re.compile(r"[A-Za-z*.-]*")
# Residues may be written in blocks, mostly of ten; words of titles are seldom as long.
_SHORTEST_BLOCK = 10


def like_pir(header: str) -> bool:
    """Say whether a header, without ``>``, begins as those of PIR do."""
    return _HEADER.match(header) is not None


def has_title(start: str, ends_in_star: bool) -> bool:
    r"""Say whether the line behind a header that is `like_pir` is a title.

    Parameters
    ----------
    start : str
        What follows the header line; no more than `LOOK_CHARACTERS` of it are looked at.
    ends_in_star : bool
        Whether ``*`` ends the record.

    Returns
    -------
    bool
        True where the line has a character that is no residue, or words that are no blocks of residues of one length.
        A single word of letters is a title where ``*`` ends the record and the word is shorter than the next line, as
        the first line of a wrapped sequence never is, or in lower case before a sequence in upper case.

    Examples
    --------
    >>> has_title("Helix lid factor\nMKVLA*\n", True), has_title("MKVLA\nMK*\n", True)
    (True, False)
    """
    first, *others = (line.strip(" \t\r\ufeff") for line in start[:LOOK_CHARACTERS].split("\n"))
    words = first.split()
    if not all(map(_RESIDUES.fullmatch, words)):
        return True
    if len(words) > 1:
        *blocks, last = map(len, words)
        return len(set(blocks)) > 1 or blocks[0] < _SHORTEST_BLOCK or last > blocks[0]
    rest = "".join(others)
    if not first or not rest or not ends_in_star:
        return False
    return len(first) < len(next(filter(None, others))) or (rest.isupper() and not first.isupper())
