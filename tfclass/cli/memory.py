"""Out of memory, in whichever of its many forms, as one plain error."""

import errno
import re

from tfclass.errors import MemoryLimitError, TfclassError

try:
    # With no memory left it could not be loaded any more.
    import resource
except ModuleNotFoundError:
    # Windows has no such limits.
    resource = None

# How the loader of the system, Python and torch word it.
_WORDS = re.compile(
    r"failed to map segment|cannot allocate memory|can't allocate memory|can't start new thread|not enough memory"
    r"|out of memory|std::bad_alloc|unable to allocate",
    re.IGNORECASE,
)
_RAISE_IT = "raise the limit (ulimit -v, or that of the batch system)"
# Below this much address space torch does not start, and some of its libraries end the process or wait for ever.
MIN_ADDRESS_SPACE = 900 * 2**20


def check_address_space() -> None:
    """Make sure that the libraries can be loaded; `MemoryLimitError` where the limit of the process is too low."""
    limit = _address_space()
    if limit is not None and limit < MIN_ADDRESS_SPACE:
        found = f"an address space limited to {limit // 2**20:,} MB"
        raise MemoryLimitError("memory", found, f"at least {MIN_ADDRESS_SPACE // 2**20:,} MB", _RAISE_IT)


def out_of_memory(error: BaseException) -> MemoryLimitError | None:
    """Return the error to report where an exception, or one that led to it, means that there was no more memory."""
    limit = _address_space()
    cause: BaseException | None = error
    while cause is not None:
        if _means_memory(cause):
            found = "not enough for this command"
            if limit is None:
                return MemoryLimitError("memory", found, action="use a machine with more, or smaller inputs")
            found += f" (the address space is limited to {limit // 2**20:,} MB)"
            return MemoryLimitError("memory", found, action=_RAISE_IT)
        cause = cause.__cause__ or cause.__context__
    return None


def _means_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    # Our own errors may quote a file.
    return not isinstance(error, TfclassError) and _WORDS.search(str(error)) is not None


def _address_space() -> int | None:
    """Return the limit of the address space of this process in bytes; None where there is none."""
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit
