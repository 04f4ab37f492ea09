"""The settings: GANs, ways of training and amounts of data."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flwr_gan.gan import GanConfig


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way of training."""

    title: str  # title for readers
    # pruned networks: any of "g" (generator) and "d" (critic), empty for none
    pruned: str = ""
    # kinds of regeneration
    recurrent: bool = True
    augmented: bool = False
    # of ``ThresholdedNetwork``
    gradients: str = "masked"
    estimate: bool = True
    # factor of the family's pace. Thresholds that only the regulariser moves always rise, by a full
    # step each time, so their steps are smaller
    pace_factor: float = 1.0
    ticket_levels: int = 0  # prunings of an iterative search for a ticket; 0 for none
    ticket_sparsity: float = 0.0  # share of the generator's weights that the ticket prunes
    alternates: bool = False  # whether growth and pruning alternate on a fixed schedule (Re-GAN)


def _part(title: str, pruned: str, *, recurrent: bool = True, augmented: bool = False) -> Method:
    return Method(title=title, pruned=pruned, recurrent=recurrent, augmented=augmented)


METHODS = {
    "dense": Method(title="dense"),
    "ticket20": Method(title="ticket, 20 %", ticket_levels=1, ticket_sparsity=0.2),
    "ticket46": Method(title="ticket, 46 %", ticket_levels=3, ticket_sparsity=0.46),
    "regan": Method(title="Re-GAN", alternates=True),
    "rg": _part("RG-GAN", "gd", augmented=True),
    "dp_g": _part("DP, G", "g", recurrent=False),
    "dp_d": _part("DP, D", "d", recurrent=False),
    "dp_b": _part("DP, both", "gd", recurrent=False),
    "rr_g": _part("DP + RR, G", "g"),
    "rr_d": _part("DP + RR, D", "d"),
    "rr_b": _part("DP + RR, both", "gd"),
    "ar_g": _part("DP + RR + AR, G", "g", augmented=True),
    "ar_d": _part("DP + RR + AR, D", "d", augmented=True),
    "rg_all": Method(
        title="RG-GAN, gradients of all weights", pruned="gd", augmented=True, gradients="all"
    ),
    "rg_cut": Method(
        title="RG-GAN, thresholds by the regulariser alone",
        pruned="gd",
        augmented=True,
        estimate=False,
        pace_factor=1 / 30,
    ),
}
"""Ways of training by short name; "rg" is DP + RR + AR on both networks."""

ABLATION = ("dp_g", "dp_d", "dp_b", "rr_g", "rr_d", "rr_b", "ar_g", "ar_d")
VARIANTS = ("rg_all", "rg_cut")
TICKETS = ("ticket20", "ticket46")


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of GAN, with its data and its training."""

    title: str  # title for readers
    # networks, loss and hyperparameters; ``iterations`` are generator updates of one training
    gan: GanConfig
    check_every: int  # generator updates between two checks of quality, the paper's epoch
    # of ``ThresholdedNetwork``: lambda, and the speed of the thresholds
    strength: float
    pace: float
    # share of the generator's weights that a pruning phase of Re-GAN removes
    regan_sparsity: float = 0.3
    num_samples: int  # number of training samples, 100 % of the data
    # numbers of generated samples for a check and for the final scores
    checked_samples: int = 1000
    judged_samples: int = 2000
    # rough processor seconds of a generator update, of one with trained masks, and of a check
    update_s: float
    masked_update_s: float
    check_s: float


def _gan(**settings: object) -> GanConfig:
    return GanConfig(critic_gradients="autograd", **settings)  # type: ignore[arg-type]


def _images(**settings: object) -> GanConfig:
    return _gan(network="images", conditional=False, **settings)


FAMILIES = {
    "sngan": Family(
        title="SNGAN, d = 8, MNIST at 32 x 32 pixels",
        gan=_images(depth=8, critic="spectral", loss="hinge", latent_dim=100, iterations=1200,
                    batch_size=32, critic_iterations=1, generator_lr=2e-3, critic_lr=2e-3),
        check_every=80, strength=1e-3, pace=0.3, num_samples=10_000, update_s=0.014,
        masked_update_s=0.022, check_s=0.4,
    ),
    "wdcgan": Family(
        title="W-DCGAN, d = 4, MNIST at 64 x 64 pixels",
        gan=_images(depth=4, latent_dim=100, iterations=400, batch_size=32, critic_iterations=2,
                    generator_lr=3e-3, critic_lr=3e-3),
        check_every=40, strength=5e-2, pace=0.3, num_samples=10_000, checked_samples=500,
        update_s=0.07, masked_update_s=0.11, check_s=0.4,
    ),
    "strokes": Family(
        title="WGAN-GP of vectors, pendigits",
        gan=_gan(latent_dim=32, channels=(64, 32), critic_hidden=(128, 128), iterations=800,
                 batch_size=64, critic_iterations=3, generator_lr=2e-3, critic_lr=2e-3),
        check_every=50, strength=1e-3, pace=0.1, num_samples=7_000, update_s=0.009,
        masked_update_s=0.026, check_s=0.15,
    ),
}  # fmt: skip

PRESETS = ("default", "short", "full")
"""``default``: for one core; ``short``: seconds; ``full``: the paper's lengths, for a GPU."""

SHARES = (0.1, 0.2, 0.5)
FEW = 100
"""Number of samples in the few-shot setting."""


def family_settings(name: str, preset: str) -> Family:
    """Return the settings of a kind of GAN."""
    family = FAMILIES[name]
    if preset == "short":
        gan = replace(family.gan, depth=1, iterations=14, batch_size=8, critic_iterations=1)
        return replace(
            family, gan=gan, check_every=2, num_samples=400,
            checked_samples=100, judged_samples=100, update_s=0.004, masked_update_s=0.006,
            check_s=0.03, pace=1.0,
        )  # fmt: skip
    if preset == "full":
        gan = replace(
            family.gan, depth=8 * family.gan.depth, iterations=100_000, batch_size=64,
            critic_iterations=5, generator_lr=2e-4, critic_lr=2e-4,
        )  # fmt: skip
        return replace(
            family, gan=gan, check_every=1000, strength=5e-12, pace=1.0,
            num_samples=7_000 if name == "strokes" else 55_000, checked_samples=5000,
            judged_samples=5000, update_s=0.03, masked_update_s=0.04, check_s=3.0,
        )  # fmt: skip
    return family


def runs(family: str, whole: int) -> Iterator[tuple[str, int, bool]]:
    """Yield method, samples and augmentation of each run of a family, the main ones first."""
    yield "dense", whole, False
    yield "rg", whole, False
    yield "regan", whole, False
    few = min(FEW, whole // 4)
    if family == "wdcgan":  # the slowest family: only the comparison
        for method in ("dense", "rg"):
            yield method, round(0.1 * whole), False
        return
    for method in TICKETS:
        yield method, whole, False
    for samples in (*(round(share * whole) for share in SHARES), few):
        for method in ("dense", "rg"):
            yield method, samples, False
    for samples in (whole, round(SHARES[0] * whole), few):
        for method in ("dense", "rg"):
            yield method, samples, True
    if family == "sngan":
        for method in (*ABLATION, *VARIANTS):
            yield method, whole, False
