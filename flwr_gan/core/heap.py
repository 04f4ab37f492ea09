"""Memory that was freed is used again instead of being returned to the system."""

from functools import cache

import numpy as np

_BYTES = 31 << 20  # below the 32 MiB up to which glibc adapts


@cache
def keep_freed_memory() -> None:
    """Let this process keep freed blocks of up to 31 MiB, so that they need not be zeroed again.

    glibc raises its thresholds to the size of the largest block that was freed (``mallopt(3)``,
    ``M_MMAP_THRESHOLD``), so one block that is never touched is enough. Without it, arrays of a few
    megabytes cost as much to get as to compute. Other allocators are not affected.
    """
    np.empty(_BYTES, np.uint8)
