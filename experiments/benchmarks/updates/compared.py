"""The tasks and the wires that are compared in each."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from experiments.benchmarks.updates.cases import PLAIN, Task, Wire
from experiments.benchmarks.updates.runs import Case
from experiments.study.options import known, whole_numbers

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


def all_cases(preset: str, *, seeds: Sequence[int], tasks: Sequence[str] = ()) -> Iterator[Case]:
    """Yield the cases, seed after seed, so that what is finished early is complete.

    Parameters
    ----------
    preset : {"default", "short"}
        ``short`` has two rounds of hardly any training and a few wires.
    seeds : sequence of int
        Each with runs of its own.
    tasks : sequence of str
        Names; all by default.

    Raises
    ------
    ConfigError
        When a task is unknown, or something is named twice.
    """
    whole_numbers("--seeds", tuple(map(str, seeds)))
    known("--task", tasks, tuple(TASKS))
    for seed in seeds:
        for name in tasks or TASKS:
            task, wires = TASKS[name], WIRES[name]
            if preset == "short":
                task, wires = _shortened(task), _few(wires)
            yield from (
                Case(task, wire, seed) for wire in wires if not wire.once or seed == seeds[0]
            )


def _shortened(task: Task) -> Task:
    overrides = f"{task.overrides} {_SHORT_GAN}" if task.overrides else ""
    images = min(task.images, 400)
    return replace(task, rounds=2, round_s=1.0, overrides=overrides, images=images)


def _few(wires: Sequence[Wire]) -> tuple[Wire, ...]:
    """Return plain Flower and the first wire of this package, without settings of their own."""
    own = next(wire for wire in wires if wire.own)
    return wires[0], replace(own, settings="", rounds=None)
