"""Inception-type score: sure of each sample, unsure of their mixture (Salimans et al., 2016).

N samples, K classes.

Paper 004 prints it as a cross entropy, ``H(p(y), p(y|x))`` (Eq. 5). That is not what it tabulates:
a cross entropy in nats has no upper bound (a classifier that is sure of one class gives the others
a logarithm without end), grows when all samples are of one class, and is no count of classes. Its
values, 1.86 to 7.02 for ten classes, fit the score as it is defined in the literature and here.
"""

import numpy as np
from numpy.typing import NDArray

from flwr_gan.errors import DataError

_TOLERANCE = 1e-3


def inception_score(posterior_NK: NDArray[np.floating]) -> float:
    """Return ``exp(mean over samples of KL(p(y|x) || p(y)))``, p(y) the mean of the posteriors.

    From 1 (the posteriors are all alike) to K (sure of each sample, all classes equally often).
    Raises DataError without rows, and unless each row holds probabilities that sum to 1.
    """
    if not len(posterior_NK):
        raise DataError("inception score of no samples: at least 1 is needed")
    p_NK = posterior_NK.astype(np.float64)
    sums_N = p_NK.sum(axis=1)
    if not (
        np.isfinite(p_NK).all() and (p_NK >= 0).all() and np.allclose(sums_N, 1, 0, _TOLERANCE)
    ):
        raise DataError("inception score of posteriors that are no probabilities is undefined")
    marginal_K = p_NK.mean(axis=0)
    # 0 log 0 is 0; where the marginal is 0, all posteriors are.
    with np.errstate(divide="ignore", invalid="ignore"):
        terms_NK = np.where(p_NK > 0, p_NK * (np.log(p_NK) - np.log(marginal_K)), 0.0)
    return float(np.exp(terms_NK.sum(axis=1).mean()))
