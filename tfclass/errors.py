"""The errors a user can meet. Each is one plain sentence: where, what is wrong, what to do.

Examples
--------
>>> str(TableError("proteins.tsv, row 3: found 'TFF'; expected one of TF, nonTF"))
"proteins.tsv, row 3: found 'TFF'; expected one of TF, nonTF"
"""

import re

_LINE_BREAKS = re.compile(r"\s*[\r\n]\s*")
# What a terminal obeys or cannot show: control characters, line and paragraph separators, marks that turn the direction
# of writing, and lone surrogates.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class TfclassError(Exception):
    """Base of every error that tfclass raises on purpose; its text is one line without control characters."""

    exit_code = 2

    def __str__(self) -> str:
        # A library's message may run over lines; a path may well hold two spaces.
        return escaped(_LINE_BREAKS.sub(" ", super().__str__()))


def escaped(text: str, keep: str = "") -> str:
    r"""Return a text with all `UNSAFE` characters, but for those to keep, as backslash escapes.

    Examples
    --------
    >>> escaped("a\x1b[2J\n"), escaped("a\n\ud800", keep="\n\t")
    ('a\\x1b[2J\\n', 'a\n\\ud800')
    """
    return UNSAFE.sub(lambda match: match[0] if match[0] in keep else match[0].encode("unicode_escape").decode(), text)


class FastaError(TfclassError):
    """A FASTA input that cannot be read: missing, empty, damaged or not FASTA at all."""


class InputError(TfclassError, ValueError):
    """Proteins or labels from a Python program that cannot be used, down to the item."""


class ResidueError(TfclassError):
    """A letter that is no residue letter, in a place where it cannot be skipped."""


class GenomeError(TfclassError):
    """A GFF3 file of a genome that cannot be used, down to the line."""


class TableError(TfclassError):
    """A labelled table that cannot be used, down to the row and column."""


class FetchError(TfclassError):
    """A database that cannot be reached, or that answers with something else than was asked for."""


class ConfigError(TfclassError):
    """A configuration value or key that is not allowed, with its full path."""


class BundleError(TfclassError):
    """A model bundle that is incomplete, altered, or written by a newer tfclass."""


class ProfileError(TfclassError):
    """A library of profiles that cannot be read, or cannot be made from what there is."""


class ReportError(TfclassError):
    """A report that cannot be read, or not be compared with another."""


class OutputError(TfclassError):
    """An output that cannot be written."""


class CheckpointError(TfclassError):
    """A training checkpoint that is missing, damaged, or belongs to another configuration or corpus."""


class TrackingError(TfclassError):
    """An MLflow destination that cannot be used."""


class NonFiniteLossError(TfclassError):
    """The training loss became infinite or not a number; the optimiser was not moved by it."""

    exit_code = 1


class MemoryLimitError(TfclassError):
    """One protein alone, of `residues` residues, needs more memory than there is."""

    exit_code = 1

    def __init__(self, message: str, residues: int = 0) -> None:
        super().__init__(message, residues)
        self.residues = residues

    def __str__(self) -> str:
        return str(TfclassError(self.args[0]))


class WorkerError(TfclassError):
    """A process that was to do part of the work died."""

    exit_code = 1


class ProgramError(TfclassError):
    """Another program that was to do part of the work failed."""

    exit_code = 1


class MissingExtraError(TfclassError):
    """An optional dependency is not installed."""
