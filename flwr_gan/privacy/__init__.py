"""Differentially private training of the critic, and its cost in epsilon.

``PRIVACY.md`` at the top of the project describes what is protected and what is not.
"""

from flwr_gan.privacy.accounting import PrivacyAccount, Release, epsilon_of, noise_for
from flwr_gan.privacy.batches import draw_poisson_batches, noisy_class_counts, sample_rate
from flwr_gan.privacy.clipping import clipped_sums, closed_form_clipped_sums
from flwr_gan.privacy.spending import ClientPrivacy, PrivacyConfig, spending_row
from flwr_gan.privacy.trainer import PrivateTrainer

__all__ = [
    "ClientPrivacy",
    "PrivacyAccount",
    "PrivacyConfig",
    "PrivateTrainer",
    "Release",
    "clipped_sums",
    "closed_form_clipped_sums",
    "draw_poisson_batches",
    "epsilon_of",
    "noise_for",
    "noisy_class_counts",
    "sample_rate",
    "spending_row",
]
