"""How much of an earlier quality is lost (Chaudhry et al., 2018, section 3.2)."""

from collections.abc import Sequence


def forgetting(history: Sequence[float], *, higher_is_better: bool) -> float:
    """Return the drop of the last quality from the best of those before it.

    Parameters
    ----------
    history : sequence of float
        Quality on one thing over time, oldest first, at least 2.
    higher_is_better : bool
        True for an accuracy, False for a distance.

    Returns
    -------
    float
        Above 0 where quality was lost, below where the last is the best of all.

    Raises
    ------
    ValueError
        If there is nothing to compare the last quality with.
    """
    if len(history) < 2:
        raise ValueError(f"forgetting needs 2 or more measurements, not {len(history)}")
    *earlier, last = history
    return max(earlier) - last if higher_is_better else last - min(earlier)
