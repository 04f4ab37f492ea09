"""Membership inference: attacks on a generator that use only its samples, and their AUC.

M members, O outsiders, N queried samples, G generated samples, D features.

The attacker has the generator (as the server of a federation has each upload), can draw from it,
and does not have the critic. A training sample tends to have a nearer generated sample than an
unseen sample.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flwr_gan.data import Samples
from flwr_gan.errors import DataError
from flwr_gan.metrics.features import distances

ATTACKS = ("nearest", "monte_carlo")


@dataclass(frozen=True)
class MembershipAuc:
    """The power of scores to separate members from outsiders."""

    auc: float  # probability that a member scores above an outsider (ties 1/2); 0.5 is chance
    low: float  # percentile bootstrap interval over members and outsiders
    high: float


def membership_scores(
    asked_ND: NDArray[np.floating],
    asked_y_N: NDArray[np.integer],
    generated_GD: NDArray[np.floating],
    generated_y_G: NDArray[np.integer],
    *,
    attack: str = "nearest",
) -> NDArray[np.float64]:
    """Return a score for each queried sample: a higher score means more likely a member.

    Distances are Euclidean, to generated samples of the queried sample's class.

    ``nearest``: minus the distance to the nearest generated sample, the full black-box attack of
    GAN-Leaks (Chen et al., 2020). ``monte_carlo``: minus the logarithm of the distance over a
    radius, averaged over all generated samples, 0 for those beyond the radius, which is the median
    of the nearest distances in the class (Hilprecht et al., 2019). Samples are flattened. Members
    and outsiders go into one call, since the radius of ``monte_carlo`` follows from all of them.
    Raises DataError if the attack is unknown or a class has no generated samples.
    """
    if attack not in ATTACKS:
        raise DataError(f"attack={attack!r} is not known: give {' or '.join(ATTACKS)}")
    scores_N = np.empty(len(asked_ND))
    for k in np.unique(asked_y_N):
        of_class = asked_y_N == k
        generated = generated_GD[generated_y_G == k]
        if not len(generated):
            raise DataError(f"no generated samples of class {k}: generate some of each class")
        distance_nG = distances(asked_ND[of_class], generated)
        if attack == "nearest":
            scores_N[of_class] = -distance_nG.min(axis=1)
        else:
            scores_N[of_class] = _monte_carlo(distance_nG)
    return scores_N


def attack_generator(
    members: Samples,
    outsiders: Samples,
    generated: Samples,
    *,
    attack: str = "nearest",
    rng: np.random.Generator,
) -> MembershipAuc:
    """Return an attack's power to separate a generator's training samples from fresh ones.

    ``outsiders`` come from the same distribution, with the same shares of classes, and were not
    trained on; ``generated`` holds some of each class. ``rng`` draws the bootstrap samples.
    """
    asked = np.concatenate([members.x_NTC, outsiders.x_NTC])
    score_N = membership_scores(
        asked.reshape(len(asked), -1),
        np.concatenate([members.y_N, outsiders.y_N]),
        generated.x_NTC.reshape(len(generated.x_NTC), -1),
        generated.y_N,
        attack=attack,
    )
    return membership_auc(score_N[: len(members)], score_N[len(members) :], rng=rng)


def membership_auc(
    member_M: NDArray[np.floating],
    outsider_O: NDArray[np.floating],
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> MembershipAuc:
    """Return the area under the attack's ROC curve with a bootstrap interval.

    The interval holds ``confidence`` of the bootstrap samples, which ``rng`` draws. Raises
    DataError if a set is empty.
    """
    if not len(member_M) or not len(outsider_O):
        raise DataError(
            f"membership AUC of {len(member_M)} members and {len(outsider_O)} outsiders: at least "
            "one of each is needed"
        )
    from scipy.stats import rankdata

    rank = rankdata(np.concatenate([member_M, outsider_O]))
    M, O = len(member_M), len(outsider_O)  # noqa: E741
    auc = (rank[:M].sum() - M * (M + 1) / 2) / (M * O)
    below = outsider_O[None, :] < member_M[:, None]
    tied = outsider_O[None, :] == member_M[:, None]
    wins_MO = (below + 0.5 * tied).astype(np.float32)
    times_RM = rng.multinomial(M, np.full(M, 1 / M), size=resamples).astype(np.float32)
    times_RO = rng.multinomial(O, np.full(O, 1 / O), size=resamples).astype(np.float32)
    drawn_R = ((times_RM @ wins_MO) * times_RO).sum(axis=1) / (M * O)
    low, high = np.quantile(drawn_R, [(1 - confidence) / 2, (1 + confidence) / 2])
    return MembershipAuc(float(auc), float(low), float(high))


def _monte_carlo(distance_nG: NDArray[np.float64]) -> NDArray[np.float64]:
    radius = float(np.median(distance_nG.min(axis=1)))
    near_nG = distance_nG <= radius
    # in units of the radius, so that each sample inside the ball adds something from 0 up
    closeness_nG = -np.log(np.maximum(distance_nG, 1e-12) / max(radius, 1e-12))
    score_n: NDArray[np.float64] = np.where(near_nG, closeness_nG, 0.0).mean(axis=1)
    return score_n
