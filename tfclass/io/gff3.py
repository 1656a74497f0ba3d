"""The escapes of GFF3.

References
----------
.. [1] L. Stein, "Generic Feature Format Version 3 (GFF3)", version 1.26, Sequence Ontology Project (2020).
"""

import re
from urllib.parse import quote

from tfclass.errors import UNSAFE

# What stands for itself in the first column; `quote` keeps letters, digits and the four characters "_.-~".
_SEQUENCE_SAFE = ":^*$@!+?|"
_ATTRIBUTE_UNSAFE = re.compile(f"[%;=&,]|{UNSAFE.pattern}")


def sequence_name(name: str, number: int, notes: str) -> str:
    """Return the first column for a record; no two have the same, for no id of a FASTA file has a blank.

    Parameters
    ----------
    name : str
        The id.
    number : int
        Of the record in the input; it names one without an id, or with that of an earlier one.
    notes : str
        Of the prediction; ``duplicate_id`` says that an earlier record has the id.

    Examples
    --------
    >>> sequence_name("a b", 1, ""), sequence_name("a", 7, "duplicate_id"), sequence_name("", 8, "no_id")
    ('a%20b', 'a%20record%207', 'record%208')
    """
    if not name or "duplicate_id" in notes.split(";"):
        name = f"{name} record {number}".lstrip()
    if name == ".":
        return "%2E"
    return quote(name, safe=_SEQUENCE_SAFE, errors="backslashreplace").replace("~", "%7E")


def attribute(value: str) -> str:
    """Escape the value of an attribute.

    Examples
    --------
    >>> attribute("a;b=c, 100 %")
    'a%3Bb%3Dc%2C 100 %25'
    """
    return _ATTRIBUTE_UNSAFE.sub(lambda match: quote(match[0], safe="", errors="backslashreplace"), value)
