"""How much is pruned after each level (paper 000, Eq. 3)."""


def pruned_fraction(rate: float, level: int) -> float:
    """Return rho_p = 1 - (1 - delta)^p, the share of weights that are pruned after ``level``.

    Parameters
    ----------
    rate : float
        delta, the share of the survivors that each pruning removes.
    level : int
        p, the number of prunings so far.
    """
    return 1 - (1 - rate) ** level


def pruned_count(size: int, rate: float, level: int) -> int:
    """Return how many of ``size`` weights are pruned after ``level`` prunings.

    The count is ``size * rho_p`` rounded to the nearest whole number, a half to the even one
    (Python's ``round``), always from ``size`` itself, so that no error builds up over levels.
    """
    return round(size * pruned_fraction(rate, level))
