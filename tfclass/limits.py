"""The largest sizes that tfclass accepts in a model, a report or rules; anything larger is refused before it is read.

They are far above what real ones need, and keep a file from outside from filling the memory.
"""

_MEBIBYTE = 1 << 20

MAX_DESCRIPTION_BYTES = 4 * _MEBIBYTE
MAX_CARD_BYTES = 1 * _MEBIBYTE
# 134 million weights of 4 bytes.
MAX_WEIGHTS_BYTES = 512 * _MEBIBYTE
# Names, shapes and places of the weights, at the start of their file.
MAX_WEIGHTS_HEADER_BYTES = 4 * _MEBIBYTE
# Profiles and reference: as the file is, and unpacked.
MAX_PACKED_BYTES = 64 * _MEBIBYTE
MAX_UNPACKED_BYTES = 96 * _MEBIBYTE

# `report.json` and `predictions.tsv` of an evaluation.
MAX_REPORT_BYTES = 32 * _MEBIBYTE
MAX_PREDICTIONS_BYTES = 512 * _MEBIBYTE

MAX_CLASSES = 1_000
MAX_FAMILIES = 10_000
MAX_NAME_CHARACTERS = 200
MAX_LAYERS = 1_000
MAX_KNOTS = MAX_OPERATING_POINTS = 10_000
MAX_PROFILES = 20_000
# States of one profile: HMMER's own limit is higher, but no domain comes near this one.
MAX_STATES = 20_000
MAX_REFERENCE_PROTEINS = 300_000
# A file of rules for labels.
MAX_YAML_BYTES = 1 * _MEBIBYTE
# Depth of nested objects in a description or in rules.
MAX_DEPTH = 50


def in_words(n_bytes: float) -> str:
    """Return a size, which may be infinite, in the largest binary unit in which it is at least 1.

    Examples
    --------
    >>> in_words(800), in_words(512 * 2**20), in_words(57.5e9)
    ('800 bytes', '512.0 MiB', '53.6 GiB')
    """
    if n_bytes < 1024:
        return f"{n_bytes:.0f} bytes"
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        n_bytes /= 1024
        if n_bytes < 1024:
            return f"{n_bytes:.1f} {unit}"
    return "1024 PiB or more"
