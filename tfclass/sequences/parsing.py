r"""Parse the text of FASTA files into records; refuse NBRF/PIR records, which look like FASTA.

A ``>`` anywhere but in a header begins a record. Most parsers require it at the beginning of a line, and lose a record
where files were joined and the first lacks its last line end (``...VAA>b``). No sequence holds a ``>``, so nothing is
lost by this rule, and both records carry a note.

In PIR the line after the header is a title, and ``*`` ends the sequence; read as FASTA, the letters of the title would
become residues. But ``>P1;X`` may also be the header of a FASTA record, so the second line decides.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tfclass.errors import FastaError

# The longest known protein, PKZILLA-1 (doi:10.1126/science.ado3290), has 45,212 residues; the network takes 1.4 KB of
# memory for each.
MAX_LENGTH = 200_000
LONGEST_HEADER = 1_000_000
# A record of more characters is taken for one that never ends: a whole human genome has fewer.
_ENDLESS = 4_000_000_000
# Each of several files that were joined may begin with one.
_BYTE_ORDER_MARK = "\ufeff"
# Control characters, and bytes that are not UTF-8 (read as lone surrogates).
_UNREADABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LIKE_ESCAPE = re.compile(r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}")
# Of a PIR header: the type of the molecule, and a semicolon.
_PIR_HEADER = re.compile(r"[ \t]*(?:P1|F1|D[1CL]|R[CL]|N[13]|XX);", re.IGNORECASE)
_RESIDUES = re.compile(r"[A-Za-z*.-]*")
# Characters after a PIR header that are examined.
_TITLE_CHARACTERS = 4096
# Residues may be written in blocks, mostly of ten; words of titles are seldom as long.
_SHORTEST_BLOCK = 10


class Record(NamedTuple):
    """One FASTA record, as written.

    Attributes
    ----------
    id : str
        The header up to the first white space, as `readable` writes it; empty when the header is.
    description : str
        The whole header without ``>``.
    sequence : str
        The sequence lines joined, without white space; letters are not changed.
    notes : tuple of str
        ``header_within_line`` if the record begins or ends inside a line, ``id_escaped``.
    problem : str
        Why the sequence was not kept: ``longer_than=200000``, the most characters that are allowed; empty if it was.
    left_out : int
        Characters that were not kept.
    """

    id: str
    description: str
    sequence: str
    notes: tuple[str, ...] = ()
    problem: str = ""
    left_out: int = 0

    @property
    def rest_of_header(self) -> str:
        """The header behind the id, as `readable` writes it."""
        return readable("".join(self.description.split(None, 1)[1:]))


def readable(name: str) -> str:
    r"""Write unprintable characters as backslash escapes; two different names never become one.

    Parameters
    ----------
    name : str
        Bytes that are not UTF-8 are lone surrogates, as from Python's ``surrogateescape``.

    Returns
    -------
    str
        `name` itself if there is nothing to escape. Otherwise its backslashes are doubled, also those of a name that
        looks escaped, which could be confused with another one.

    Examples
    --------
    >>> readable(b"lat\xe9".decode("utf-8", "surrogateescape"))
    'lat\\xe9'
    """
    if name.isprintable() and "\\" not in name:
        # Nearly every name, and the quickest check.
        return name
    if not _UNREADABLE.search(name) and not _LIKE_ESCAPE.search(name):
        return name
    return _UNREADABLE.sub(_escape, name.replace("\\", "\\\\"))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    # Above ASCII, \x stands for a byte that is not UTF-8.
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


class FastaParser:
    """Parse blocks of text, the first of which begins at `line` of the input `name`, into records."""

    def __init__(self, name: str, max_length: int = MAX_LENGTH, line: int = 1) -> None:
        self._name, self._max_length, self._line = name, max_length, line
        self._block, self._position = "", 0
        self._line_open = False
        self._begin()

    def feed(self, block: str) -> Iterator[Record]:
        r"""Read the next part of the text, cut anywhere; yield the records that end in it.

        Parameters
        ----------
        block : str
            Line ends are ``\n``. The first block is what follows the first ``>``.

        Raises
        ------
        FastaError
            A PIR record, whose title would be taken for residues; a run of NUL bytes, as tar archives and damaged
            files have; a header or a record without end.
        """
        self._block, self._position = block, 0
        # The search for one NUL is much quicker.
        nul = block.find("\0\0") if "\0" in block else -1
        limit = len(block) if nul < 0 else nul
        while True:
            end = block.find("\n" if self._in_header else ">", self._position, limit)
            part = block[self._position : limit if end < 0 else end]
            (self._take_header if self._in_header else self._take_sequence)(part)
            if end < 0:
                break
            if self._in_header:
                self._in_header = False
                if _PIR_HEADER.match("".join(self._header)):
                    self._pir_line = self._line_here()
            else:
                yield self._finished()
            self._position = end + 1
        if nul >= 0:
            self._position = nul
            raise self._error("NUL bytes, as in a tar archive or a damaged file; expected text; is the file complete?")
        self._line += block.count("\n")

    def last(self) -> Record:
        """Return the last record, at the end of the text."""
        self._line_open = False
        return self._finished()

    def _begin(self) -> None:
        self._in_header = True
        # Whether the record begins in a line that has residues, and whether the current line has some.
        self._within_line, self._line_open = self._line_open, False
        self._header: list[str] = []
        self._sequence: list[str] = []
        self._header_length = self._length = self._characters = 0
        # The line of a header as in PIR, or 0; and the beginning of what follows it.
        self._pir_line, self._pir_start = 0, ""

    def _take_header(self, part: str) -> None:
        self._header.append(part)
        self._header_length += len(part)
        if self._header_length > LONGEST_HEADER:
            raise self._error(
                f"a header of more than {LONGEST_HEADER:,} characters; expected a line of text; are the line ends lost?"
            )

    def _take_sequence(self, part: str) -> None:
        residues = "".join(part.split())
        if not residues.isascii():
            residues = residues.replace(_BYTE_ORDER_MARK, "")
        last = part[part.rfind("\n") + 1 :].strip(" \t" + _BYTE_ORDER_MARK)
        self._line_open = bool(last) or (self._line_open and "\n" not in part)
        if self._pir_line:
            self._pir_start += part[: _TITLE_CHARACTERS - len(self._pir_start)]
        self._length += len(residues)
        self._characters += len(part)
        if self._length <= self._max_length:
            self._sequence.append(residues)
        else:
            self._sequence.clear()
        if self._characters > _ENDLESS:
            raise self._error(f"a record that has not ended after {_ENDLESS:,} characters; expected proteins")

    def _finished(self) -> Record:
        header, residues = "".join(self._header).rstrip(), "".join(self._sequence)
        if self._pir_line and has_title(self._pir_start, residues.endswith("*")):
            raise self._error(
                f"what looks like a PIR record ({'>' + header[:40]!r}), whose second line is a title; expected FASTA; "
                "convert it, or take the part up to ';' from the ids",
                self._pir_line,
            )
        written = (header.split(None, 1) or [""])[0]
        name = readable(written)
        notes = ("header_within_line",) if self._within_line or self._line_open else ()
        notes += ("id_escaped",) if name is not written else ()
        left_out = self._length if self._length > self._max_length else 0
        problem = f"longer_than={self._max_length}" if left_out else ""
        self._begin()
        return Record(name, header, residues, notes, problem, left_out)

    def _line_here(self) -> int:
        return self._line + self._block.count("\n", 0, self._position)

    def _error(self, found: str, line: int = 0) -> FastaError:
        return FastaError(f"{self._name}, line {line or self._line_here()}: found {found}")


def has_title(start: str, ends_in_star: bool) -> bool:
    r"""Return whether the line after a header as in PIR is a title.

    Parameters
    ----------
    start : str
        The lines after the header; only the first 4,096 characters are examined.
    ends_in_star : bool
        Whether ``*`` ends the record.

    Returns
    -------
    bool
        True if the line has a character that is no residue, or words that are not blocks of residues of one length. A
        single word of letters is a title if ``*`` ends the record and the word is shorter than the next line, as the
        first line of a wrapped sequence never is, or in lower case before a sequence in upper case.

    Examples
    --------
    >>> has_title("Helix lid factor\nMKVLA*\n", True), has_title("MKVLA\nMK*\n", True)
    (True, False)
    """
    first, *others = (line.strip(" \t\r\ufeff") for line in start[:_TITLE_CHARACTERS].split("\n"))
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
