"""Pruning schedules: level by level (paper 000, Eq. 3), one-shot, or during a training."""

from typing import NamedTuple


def pruned_fraction(rate: float, level: int) -> float:
    """Return rho_p = 1 - (1 - delta)^p, the share of weights that are pruned after ``level``.

    delta is the share of the survivors that each pruning removes, p the number of prunings so far.
    """
    return 1 - (1 - rate) ** level


def pruned_count(size: int, rate: float, level: int) -> int:
    """Return the number of ``size`` weights that are pruned after ``level`` prunings.

    The count is ``size * rho_p`` rounded half to even (Python's ``round``), always computed from
    ``size``, so that errors do not accumulate over levels.
    """
    return round(size * pruned_fraction(rate, level))


class Pruning(NamedTuple):
    """One pruning of several."""

    update: int  # updates of the generator before it
    fraction: float  # total share of the weights pruned after it


def one_shot(fraction: float) -> list[Pruning]:
    """Return a single pruning, before any training."""
    return [Pruning(0, fraction)]


def iterative(fraction: float, iterations: int, steps: int) -> list[Pruning]:
    """Return ``steps`` prunings of equal shares of the weights, each with equal training after it.

    Pruning p of P leaves ``p / P`` of the fraction pruned; it comes after ``(p - 1) / P`` of the
    training, rounded.
    """
    return [
        Pruning(round(iterations * (step - 1) / steps), fraction * step / steps)
        for step in range(1, steps + 1)
    ]


def gradual(fraction: float, iterations: int, every: int, until: float) -> list[Pruning]:
    """Return prunings during training, of many weights at first and few at the end.

    The cubic schedule of Zhu and Gupta (2017) from nothing at the start: after the k-th of n
    prunings ``fraction (1 - (1 - k/n)^3)`` of the weights are pruned. The k-th comes after
    ``k every`` updates, the last within ``until`` of the training; if no pruning fits, everything
    is pruned at the start.
    """
    count = int(until * iterations) // every
    if count == 0:
        return one_shot(fraction)
    return [
        Pruning(at * every, fraction * (1 - (1 - at / count) ** 3)) for at in range(1, count + 1)
    ]
