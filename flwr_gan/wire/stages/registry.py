"""From a spec such as ``quantize:int8:channel`` to the stage that it names, and from the wire.

A stage is one module with ``from_spec(arguments)`` and ``from_parameter(parameter)``.
"""

import importlib

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.registry import unknown_word
from flwr_gan.wire.stages.array_stage import ArrayStage
from flwr_gan.wire.stages.stage import Stage

# Name, number on the wire (permanent: append, never reuse), module.
_STAGES = (
    ("quantize", 1, "flwr_gan.wire.stages.quantize"),
    ("cast", 2, "flwr_gan.wire.stages.cast"),
    ("prune", 3, "flwr_gan.wire.stages.prune"),
    ("ternary", 4, "flwr_gan.wire.stages.ternary"),
    ("binary", 5, "flwr_gan.wire.stages.binary"),
    ("codebook", 6, "flwr_gan.wire.stages.codebook"),
    ("flexpoint", 7, "flwr_gan.wire.stages.flexpoint"),
    ("lowrank", 8, "flwr_gan.wire.stages.lowrank"),
    ("redundancy", 9, "flwr_gan.wire.stages.redundancy"),
    ("hash", 10, "flwr_gan.wire.stages.hashed"),
    ("topk", 11, "flwr_gan.wire.stages.topk"),
    ("randk", 12, "flwr_gan.wire.stages.randk"),
    ("eden", 13, "flwr_gan.wire.stages.eden"),
    ("qsgd", 14, "flwr_gan.wire.stages.qsgd"),
    ("powersgd", 15, "flwr_gan.wire.stages.powersgd"),
    ("dgc", 16, "flwr_gan.wire.stages.dgc"),
)

MAX_PARAMETER = (1 << 32) - 1
"""Largest number in which a stage may keep its settings."""


def stage_names() -> tuple[str, ...]:
    """Return the names of all stages, the first words of their specs."""
    return tuple(name for name, _, _ in _STAGES)


def get_stage(spec: str) -> Stage | ArrayStage:
    """Return the stage that a spec names, such as ``quantize:int8:layer``.

    Raises
    ------
    CodecError
        If there is no such stage or a setting is out of range.
    """
    name, *arguments = spec.split(":")
    modules = {known: module for known, _, module in _STAGES}
    if name not in modules:
        raise unknown_word("stage", name, stage_names())
    stage: Stage | ArrayStage = importlib.import_module(modules[name]).from_spec(tuple(arguments))
    return stage


def stage_by_id(wire_id: int, parameter: int) -> Stage | ArrayStage:
    """Return the stage with a number in a payload, or raise ``PayloadError``."""
    for _, number, module in _STAGES:
        if number == wire_id:
            stage: Stage | ArrayStage = importlib.import_module(module).from_parameter(parameter)
            return stage
    raise PayloadError(f"payload names stage number {wire_id}, which this version does not know")
