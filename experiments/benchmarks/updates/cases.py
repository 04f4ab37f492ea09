"""The compared tasks, and the codings of updates in each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from experiments.benchmarks.updates.peers import get_peer, is_peer
from flwr_gan.wire.codecs import get_codec

PLAIN = "plain"


@dataclass(frozen=True)
class Task:
    """The trained network and its data."""

    name: str  # name in tables
    title: str  # title for readers
    quality: str  # measure after each round
    level: float  # target of the quality
    rounds: int  # number of rounds unless a case has its own
    round_s: float  # roughly how many processor seconds a round takes
    overrides: str = ""  # settings of a GAN's run
    images: int = 0  # training images of the classifier; 0 for a GAN


@dataclass(frozen=True)
class Wire:
    """The codecs of updates in a task."""

    # codec specs of uploads and broadcasts; both may be ``plain`` for plain Flower, or a peer's
    up: str
    down: str
    # further settings, ``KEY=VALUE`` separated by spaces: overrides of a GAN's run; for the
    # classifier ``server_momentum`` and settings of the wire
    settings: str = ""
    rounds: int | None = None  # number of rounds if it is not the task's
    once: bool = False  # whether it runs only with the first seed

    def __post_init__(self) -> None:
        for spec in (self.up, self.down):
            if is_peer(spec):
                get_peer(spec)
            elif spec != PLAIN:
                get_codec(spec)

    @property
    def own(self) -> bool:
        """Whether this is this package's wire."""
        return self.up != PLAIN and not is_peer(self.up)

    @property
    def options(self) -> dict[str, Any]:
        """The further settings by name."""
        pairs = (word.split("=", 1) for word in self.settings.split())
        return {name: yaml.safe_load(value) for name, value in pairs}


_FEDAVG = "strategy=fedavg lottery.iterations=0"
_PEN = "data=pendigits partition=writer federation.num_clients=10"
TASKS = {
    task.name: task
    for task in (
        Task(
            name="gan_digits",
            title="GAN, digits of five clients: synthetic accuracy",
            quality="synthetic_accuracy",
            level=0.93,
            rounds=20,
            round_s=4.0,
            overrides=_FEDAVG,
        ),
        Task(
            name="gan_pendigits",
            title="GAN, pen digits of ten clients by writer: synthetic accuracy",
            quality="synthetic_accuracy",
            level=0.86,
            rounds=20,
            round_s=14.0,
            overrides=f"{_FEDAVG} {_PEN}",
        ),
        Task(
            name="classifier",
            title="Classifier of 1.2 million weights, Fashion-MNIST of ten clients: accuracy",
            quality="accuracy",
            level=0.86,
            rounds=25,
            round_s=5.5,
            images=10_000,
        ),
    )
}
_SEEDED = "seeded_start=true"
_LONGER = "gan.local_iterations=160"
_MOMENTUM = "server_momentum=0.5"
WIRES: dict[str, tuple[Wire, ...]] = {
    "gan_digits": (
        Wire(PLAIN, PLAIN),
        Wire(PLAIN, PLAIN, _LONGER, rounds=10),
        Wire("topk:0.1+int3", "topk:0.1+int3", f"{_LONGER} {_SEEDED}", rounds=14),
        Wire("sparse:int4", "sparse:int4", _LONGER, rounds=8),
        Wire("topk:0.1+int3", "topk:0.1+int3", _LONGER, rounds=14, once=True),
        Wire("topk:0.05+int4", "topk:0.1+int4", _SEEDED, once=True),
    ),
    "gan_pendigits": (
        Wire(PLAIN, PLAIN),
        Wire("topk:0.1+int3", "topk:0.1+int3", _SEEDED, rounds=30),
    ),
    "classifier": (
        Wire(PLAIN, PLAIN),
        Wire(PLAIN, PLAIN, _MOMENTUM),
        Wire("topk:0.005+ternary", "topk:0.009+ternary", f"{_MOMENTUM} {_SEEDED}"),
        Wire("topk:0.002+ternary", "topk:0.004+ternary", f"{_MOMENTUM} {_SEEDED}"),
        Wire("topk:0.05+int4", "topk:0.05+int4", f"{_MOMENTUM} {_SEEDED}", once=True),
        Wire("topk:0.005+ternary", "topk:0.009+ternary", _SEEDED, once=True),
        Wire(
            "powersgd:4+quantize:em4",
            "powersgd:8+quantize:em4",
            f"{_MOMENTUM} {_SEEDED}",
            once=True,
        ),
        Wire("quantize:int8+zstd:3", "quantize:int8+zstd:3", "memory=false feedback=false"),
        Wire("topk_npz:0.01", "topk_npz:0.01"),
        Wire("openfl_stc:0.1", "openfl_stc:0.1"),
        Wire("openfl_kc:6", "openfl_kc:6"),
        Wire("fedsz:0.01", "fedsz:0.01"),
        Wire("nncodec:0.8", "nncodec:0.8"),
    ),
}
_SHORT_GAN = "federation.num_clients=2 gan.local_iterations=2 samples_per_class=10"


def shortened(task: Task) -> Task:
    """Return a task of two rounds with little training."""
    overrides = f"{task.overrides} {_SHORT_GAN}" if task.overrides else ""
    images = min(task.images, 400)
    return replace(task, rounds=2, round_s=1.0, overrides=overrides, images=images)


def few_wires(wires: Sequence[Wire]) -> tuple[Wire, ...]:
    """Return plain Flower and the first wire of this package, without further settings."""
    own = next(wire for wire in wires if wire.own)
    return wires[0], replace(own, settings="", rounds=None)
