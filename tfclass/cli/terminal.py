"""Whether somebody is watching."""

import sys


def has_terminal() -> bool:
    """Tell whether stderr is a terminal; it may be closed, and is None then."""
    return sys.stderr is not None and sys.stderr.isatty()
