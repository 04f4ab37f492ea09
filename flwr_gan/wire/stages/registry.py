"""Find a stage by a spec such as ``quantize:int8:channel``, or by its wire number."""

from flwr_gan.wire.codecs import installed
from flwr_gan.wire.codecs.registry import is_own, load
from flwr_gan.wire.codecs.settings import unknown_word
from flwr_gan.wire.codecs.stage import Stage
from flwr_gan.wire.stages.array_stage import ArrayStage

# Name, wire number (permanent: append, never reuse), class.
_STAGES = (
    ("quantize", 1, "flwr_gan.wire.stages.quantize:QuantizeStage"),
    ("cast", 2, "flwr_gan.wire.stages.cast:CastStage"),
    ("prune", 3, "flwr_gan.wire.stages.prune:PruneStage"),
    ("ternary", 4, "flwr_gan.wire.stages.ternary:TernaryStage"),
    ("binary", 5, "flwr_gan.wire.stages.ternary:BinaryStage"),
    ("codebook", 6, "flwr_gan.wire.stages.codebook:CodebookStage"),
    ("flexpoint", 7, "flwr_gan.wire.stages.flexpoint:FlexpointStage"),
    ("lowrank", 8, "flwr_gan.wire.stages.lowrank:LowRankStage"),
    ("redundancy", 9, "flwr_gan.wire.stages.redundancy:RedundancyStage"),
    ("hash", 10, "flwr_gan.wire.stages.hashed:HashStage"),
    ("topk", 11, "flwr_gan.wire.stages.topk:TopKStage"),
    ("randk", 12, "flwr_gan.wire.stages.randk:RandKStage"),
    ("eden", 13, "flwr_gan.wire.stages.eden:EdenStage"),
    ("qsgd", 14, "flwr_gan.wire.stages.qsgd:QsgdStage"),
    ("powersgd", 15, "flwr_gan.wire.stages.powersgd:PowerSgdStage"),
    ("dgc", 16, "flwr_gan.wire.stages.topk:DgcStage"),
    ("budget", 17, "flwr_gan.wire.stages.budget:BudgetStage"),
)

MAX_PARAMETER = (1 << 32) - 1
"""Largest number for the settings of a stage."""


def stage_names() -> tuple[str, ...]:
    """Return the names of all stages, the first words of their specs."""
    return tuple(name for name, _, _ in _STAGES)


def is_stage(name: str) -> bool:
    """Return True if this package or an installed one has a stage of this name."""
    own = stage_names()
    return name in own or (not is_own(name) and name in installed.names(installed.STAGES))


def get_stage(spec: str) -> Stage | ArrayStage:
    """Return the stage that a spec names, such as ``quantize:int8:layer``.

    Raises
    ------
    CodecError
        If there is no such stage or a setting is out of range.
    """
    name, *words = spec.split(":")
    references = {known: reference for known, _, reference in _STAGES}
    if not is_stage(name):
        raise unknown_word("stage", name, (*references, *installed.names(installed.STAGES)))
    own = references.get(name)
    found = load(own) if own else installed.named(installed.STAGES, name)
    stage: Stage | ArrayStage = found.from_spec(tuple(words))
    return stage


def stage_by_id(wire_id: int, parameter: int) -> Stage | ArrayStage:
    """Return the stage with this wire number, or raise ``PayloadError``."""
    own = [reference for _, number, reference in _STAGES if number == wire_id]
    found = load(own[0]) if own else installed.numbered(installed.STAGES, wire_id)
    stage: Stage | ArrayStage = found.from_parameter(parameter)
    return stage
