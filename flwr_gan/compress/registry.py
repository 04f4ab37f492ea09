"""From a spec such as ``quantize:int8:channel`` to the stage that it names, and from the wire.

A stage is one module with ``from_spec(arguments)`` and ``from_parameter(parameter)``.
"""

import importlib

from flwr_gan.codecs.registry import unknown_word
from flwr_gan.compress.array_stage import ArrayStage
from flwr_gan.compress.stage import Stage
from flwr_gan.errors import PayloadError

# Name, number on the wire (permanent: append, never reuse), module.
_STAGES = (
    ("quantize", 1, "flwr_gan.compress.quantize"),
    ("cast", 2, "flwr_gan.compress.cast"),
    ("prune", 3, "flwr_gan.compress.prune"),
    ("ternary", 4, "flwr_gan.compress.ternary"),
    ("binary", 5, "flwr_gan.compress.binary"),
    ("codebook", 6, "flwr_gan.compress.codebook"),
    ("flexpoint", 7, "flwr_gan.compress.flexpoint"),
    ("lowrank", 8, "flwr_gan.compress.lowrank"),
    ("redundancy", 9, "flwr_gan.compress.redundancy"),
    ("hash", 10, "flwr_gan.compress.hashed"),
    ("topk", 11, "flwr_gan.compress.topk"),
    ("randk", 12, "flwr_gan.compress.randk"),
    ("eden", 13, "flwr_gan.compress.eden"),
    ("qsgd", 14, "flwr_gan.compress.qsgd"),
    ("powersgd", 15, "flwr_gan.compress.powersgd"),
    ("dgc", 16, "flwr_gan.compress.dgc"),
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
