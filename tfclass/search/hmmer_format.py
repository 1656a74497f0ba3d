"""Read files of profiles after a check of their structure.

HMMER's own reader is written in C and trusts the numbers of a file: a wrong length, a missing line or a text without
its end may end the process. Here every length, count and number is checked first. Both formats, text and binary, are of
version ``3/f``, which HMMER has written since 2013; ``hmmconvert`` brings older files up to date.
"""

import io
import struct
from collections.abc import Sequence

import numpy as np
from pyhmmer.easel import Alphabet
from pyhmmer.errors import InvalidHMM
from pyhmmer.plan7 import HMM, HMMFile

from tfclass.limits import MAX_PROFILES, MAX_STATES
from tfclass.typing import Float32Array, FloatArray

ALPHABET = Alphabet.amino()
_RESIDUES, _TRANSITIONS, _STATISTICS, _CUTOFFS = 20, 7, 6, 6
_TEXT = b"HMMER3/f"
# "hmma", the highest bit of each byte set.
_MAGIC = struct.pack("=I", 0xE8EDEDBA)
_AMINO = 3
# Bits of the flags: which parts a profile has.
_HAS_DESCRIPTION, _HAS_STATISTICS, _HAS_MAP, _HAS_ACCESSION, _HAS_COMPOSITION = (1 << bit for bit in (1, 7, 8, 9, 14))
_HAS_ANNOTATION = tuple(1 << bit for bit in (2, 17, 16, 3, 13))
_ALL_FLAGS = (1 << 18) - 1
_MAX_LINE_BYTES = 1 << 16
_MAX_BLANK_LINES = 1_000
# No statistic, cutoff or effective number of sequences comes near it.
_MAX_SCORE = 1e6
# A probability of single precision may be rounded up.
_ONE = 1.001


def read_hmms(content: bytes) -> list[HMM]:
    """Read at least one profile in HMMER's format, text or binary.

    Raises
    ------
    ValueError
        As `check_format`; or probabilities do not sum to 1.
    """
    check_format(content)
    hmms = []
    with HMMFile(io.BytesIO(content), alphabet=ALPHABET) as file:
        for number, hmm in enumerate(file, start=1):
            if not _is_valid(hmm):
                raise ValueError(f"profile {number}: probabilities that do not sum to 1")
            hmms.append(hmm)
    return hmms


def _is_valid(hmm: HMM) -> bool:
    # The error itself is not passed on: its text cannot be made (PyHMMER 0.12).
    try:
        hmm.validate()
    except InvalidHMM:
        return False
    return True


def check_format(content: bytes) -> None:
    """Check the structure of a file in HMMER's format, text or binary.

    Raises
    ------
    ValueError
        It is something else, cut short, damaged, not of amino acids, or larger than `tfclass.limits` allows.
    """
    if content.startswith(_MAGIC):
        profiles: _Binary | _Text = _Binary(content)
    elif content.startswith(_TEXT):
        profiles = _Text(content)
    else:
        raise ValueError("neither text nor binary of HMMER3/f")
    number = 0
    while not profiles.is_at_end():
        number += 1
        if number > MAX_PROFILES:
            raise ValueError(f"more than {MAX_PROFILES:,} profiles")
        try:
            profiles.check_next()
        except ValueError as error:
            raise ValueError(f"profile {number}: {error}") from None


class _Binary:
    """A binary file, read part by part in the order in which HMMER writes them."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = memoryview(content), 0

    def is_at_end(self) -> bool:
        return self._place == len(self._content)

    def check_next(self) -> None:
        if self._take(4) != _MAGIC:
            raise ValueError("no profile where one should begin")
        flags, states, alphabet = self._integer(), self._integer(), self._integer()
        _check_size(states, alphabet == _AMINO)
        if flags & ~_ALL_FLAGS or not flags & _HAS_STATISTICS:
            raise ValueError("unknown parts, or no statistics")
        # Emissions of the states, then insertions and transitions of these and of the begin.
        for count in (states * _RESIDUES, (states + 1) * _RESIDUES, (states + 1) * _TRANSITIONS):
            _check_range(self._numbers(count), 0.0, _ONE)
        self._check_texts(flags, states)
        if flags & _HAS_MAP:
            self._take(4 * (states + 1))
        self._integer()  # checksum of the alignment
        _check_statistics(self._numbers(_STATISTICS))
        _check_range(self._numbers(_CUTOFFS), -_MAX_SCORE, _MAX_SCORE)
        if flags & _HAS_COMPOSITION:
            _check_range(self._numbers(_RESIDUES), 0.0, _ONE)

    def _check_texts(self, flags: int, states: int) -> None:
        """Check what stands between the probabilities and the map."""
        if not self._text():
            raise ValueError("no name")
        for flag in (_HAS_ACCESSION, _HAS_DESCRIPTION):
            if flags & flag:
                self._text()
        for flag in _HAS_ANNOTATION:
            # A blank, a character for each state, and a null byte.
            if flags & flag and bytes(self._take(states + 2)).find(b"\0") != states + 1:
                raise ValueError("an annotation of another length")
        self._text()  # command line
        self._integer()  # number of sequences
        _check_range(self._numbers(1), 0.0, _MAX_SCORE)  # effective number of sequences
        self._integer()  # greatest length
        self._text()  # date

    def _take(self, n_bytes: int) -> memoryview:
        if n_bytes > len(self._content) - self._place:
            raise ValueError("cut short")
        self._place += n_bytes
        return self._content[self._place - n_bytes : self._place]

    def _integer(self) -> int:
        return struct.unpack("=i", self._take(4))[0]

    def _numbers(self, count: int) -> Float32Array:
        return np.frombuffer(self._take(4 * count), dtype=np.float32)

    def _text(self) -> bytes:
        """Read a text: its length, then its bytes with a null byte at the end; of none, the length 0 alone."""
        length = self._integer()
        if not 0 <= length <= _MAX_LINE_BYTES:
            raise ValueError(f"a text of {length} bytes")
        text = bytes(self._take(length))
        if length and text.find(b"\0") != length - 1:
            raise ValueError("a text without its end")
        return text[:-1]


class _Text:
    """A text file, read line by line."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)
        self._words = self._next_words()

    def is_at_end(self) -> bool:
        return not self._words

    def check_next(self) -> None:
        if self._line()[0] != _TEXT:
            raise ValueError("no profile where one should begin")
        header: dict[bytes, list[bytes]] = {}
        while (words := self._line())[0] != b"HMM":
            n_names = 3 if words[0] == b"STATS" else 1
            if words[0] in (b"GA", b"TC", b"NC"):
                _check_range(_parsed([word.rstrip(b";") for word in words[1:3]], 2), -_MAX_SCORE, _MAX_SCORE)
                if b"ALPH" not in header:
                    raise ValueError("a threshold ahead of the alphabet")
            header[b" ".join(words[:n_names])] = words[n_names:]
        for key in (b"NAME", b"LENG", b"ALPH"):
            if not header.get(key):
                raise ValueError(f"no {key.decode()}")
        states = int(header[b"LENG"][0])
        _check_size(states, header[b"ALPH"][0].lower() == b"amino")
        kinds = (b"MSV", b"VITERBI", b"FORWARD")
        statistics = [word for kind in kinds for word in header.get(b"STATS LOCAL " + kind, [])]
        _check_statistics(_parsed(statistics, _STATISTICS))
        self._check_states(states)
        if self._line() != [b"//"]:
            raise ValueError("more states than LENG says")

    def _check_states(self, states: int) -> None:
        self._line()  # names of the transitions
        if self._words[:1] == [b"COMPO"]:
            _parsed(self._line()[1:], _RESIDUES)
        for state in range(states + 1):
            if state:
                # The number of the state ahead, and five annotations behind.
                words = self._line()
                if words[0] != str(state).encode() or len(words) != 1 + _RESIDUES + 5:
                    raise ValueError(f"no state {state} where it should be")
                _parsed(words[1 : 1 + _RESIDUES], _RESIDUES)
            _parsed(self._line(), _RESIDUES)
            _parsed(self._line(), _TRANSITIONS)

    def _line(self) -> list[bytes]:
        """Return the words of the next line that has any."""
        words = self._words
        if not words:
            raise ValueError("cut short")
        self._words = self._next_words()
        return words

    def _next_words(self) -> list[bytes]:
        for _ in range(_MAX_BLANK_LINES):
            line = self._stream.readline(_MAX_LINE_BYTES)
            if len(line) == _MAX_LINE_BYTES or b"\0" in line:
                raise ValueError("a line that is too long, or has a null byte")
            words = line.split()
            if words or not line:
                return words
        raise ValueError(f"more than {_MAX_BLANK_LINES} blank lines")


def _check_size(states: int, is_amino: bool) -> None:
    if not is_amino:
        raise ValueError("another alphabet than that of amino acids")
    if not 1 <= states <= MAX_STATES:
        raise ValueError(f"{states} states, which are not 1 to {MAX_STATES:,}")


def _check_statistics(numbers: FloatArray | Float32Array) -> None:
    _check_range(numbers, -_MAX_SCORE, _MAX_SCORE)
    # Location and slope of three distributions.
    if not (numbers[1::2] > 0).all():
        raise ValueError("a statistic that is not positive")


def _check_range(numbers: FloatArray | Float32Array, least: float, most: float) -> None:
    # What is not a number is not in the range either.
    if not ((numbers >= least) & (numbers <= most)).all():
        raise ValueError(f"a number that is not {least:g} to {most:g}")


def _parsed(words: Sequence[bytes], count: int) -> FloatArray:
    """Return the numbers of a line; ``*`` is an infinite one in a negative logarithm, here 0."""
    if len(words) != count:
        raise ValueError(f"{len(words)} numbers where {count} should be")
    numbers = np.array([0.0 if word == b"*" else float(word) for word in words])
    _check_range(numbers, -_MAX_SCORE, _MAX_SCORE)
    return numbers
