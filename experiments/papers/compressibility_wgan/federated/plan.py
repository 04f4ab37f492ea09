"""The whole and the short study, as overrides of the app's config."""

from dataclasses import dataclass
from itertools import product

PARTITIONS = {
    "by writer": "partition=writer",
    "Dirichlet 0.1": "partition=dirichlet partition.alpha=0.1",
    "Dirichlet 1": "partition=dirichlet partition.alpha=1",
    "iid": "partition=iid",
}
PLAIN = "plain Flower"
TICKET = "FederatedTicket"
AVERAGE = "FedAvg"
LOSSLESS = "sparse"
FEEDBACK = "sparse:int6, feedback"
CODECS = {
    LOSSLESS: "codec=sparse",
    "sparse:int8": "codec=sparse:int8",
    FEEDBACK: "codec=sparse:int6 feedback=true",
}
WIRES = ((AVERAGE, PLAIN), *product((AVERAGE, TICKET), CODECS))
FEWER_WIRES = tuple(pair for pair in WIRES if pair[1] != "sparse:int8")

# R = 2 and a learning rate of 0.004 give the best quality per second of a core; see FEDERATED.md.
ONE_SHOT_GAN = (
    "gan=small gan.critic_iterations=2 gan.generator_lr=0.004 gan.critic_lr=0.004 "
    "gan.iterations=250"
)
TINY_GAN = (
    "gan.channels=[8,8] gan.critic_hidden=[8,8] gan.batch_size=8 gan.critic_iterations=1 "
    "gan.iterations=2 gan.local_iterations=1"
)


@dataclass(frozen=True)
class Plan:
    """The size of the study, and the settings that its cases share."""

    clients: tuple[int, ...]  # K of the one-shot cases
    partitions: tuple[str, ...]  # their partitions, keys of ``PARTITIONS``
    one_shot: str  # overrides of the one-shot cases except K, partition and pruning
    prunings: int  # P of the tickets; each removes 20 % of the survivors
    rounds_settings: dict[str, str]  # overrides by name of a federation of many rounds
    rounds_seeds: dict[str, tuple[int, ...]]  # seeds by the same name
    rounds: int  # rounds of FedAvg, the same number as for the shared ticket
    # iterations of the dense generators that are trained longer, at the first K and partition
    longer: tuple[int, ...]
    # strategy and wire of the runs of many rounds, by the federation's name
    wires: dict[str, tuple[tuple[str, str], ...]]


FULL = Plan(
    clients=(5, 10, 20),
    partitions=tuple(PARTITIONS),
    one_shot=f"data=pendigits {ONE_SHOT_GAN}",
    prunings=10,
    rounds_settings={
        "digits": "federation.num_clients=5 partition=dirichlet partition.alpha=0.5",
        "pendigits": "data=pendigits partition=writer federation.num_clients=10 gan=small "
        "gan.critic_iterations=2",
    },
    rounds_seeds={"digits": (0, 1, 2), "pendigits": (0,)},
    rounds=24,
    longer=(1000, 2500),
    wires={"digits": WIRES, "pendigits": FEWER_WIRES},
)
SHORT = Plan(
    clients=(2,),
    partitions=("Dirichlet 1",),
    one_shot=f"data=digits lottery.min_kept_per_layer=8 {TINY_GAN}",
    prunings=2,
    rounds_settings={
        "digits": "federation.num_clients=2 partition=iid samples_per_class=5 "
        f"lottery.iterations=1 lottery.min_kept_per_layer=8 strategy.rounds_per_level=1 {TINY_GAN}"
    },
    rounds_seeds={"digits": (0,)},
    rounds=2,
    longer=(3,),
    wires={"digits": ((AVERAGE, PLAIN), (AVERAGE, LOSSLESS), (TICKET, FEEDBACK))},
)
