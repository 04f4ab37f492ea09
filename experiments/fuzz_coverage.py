"""Which lines of the decoders ran, by the interpreter's own tracing."""

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

MODULES = (
    "codecs.base", "codecs.general", "codecs.registry", "codecs.varint", "codecs.arrays",
    "codecs.raw", "codecs.zlib_codec", "codecs.lzma_codec", "codecs.bz2_codec",
    "codecs.zstd_codec", "codecs.pcodec_codec", "codecs.paq9a",
    "codecs.elements", "codecs.csr", "codecs.rle", "codecs.stage", "codecs.compiled",
    "codecs.threads", "codecs.sparse.codec", "codecs.sparse.parts", "codecs.sparse.bands",
    "codecs.sparse.masks", "codecs.sparse.positions",
    "codecs.sparse.streams", "codecs.sparse.values", "codecs.sparse.planes",
    "codecs.sparse.bits", "codecs.sparse.floats", "codecs.sparse.numbers",
    "codecs.sparse.bins", "codecs.sparse.magnitudes", "codecs.sparse.rans",
    "codecs.sparse.tables", "codecs.sparse.support",
    "codecs.sparse.palette", "codecs.sparse.changes", "codecs.sparse.sides",
    "codecs.sparse.survivors",
    "compress.pipeline", "compress.array_codec", "compress.registry", "compress.stage",
    "compress.groups", "compress.scaling", "compress.blocks", "compress.quantize",
    "compress.affine", "compress.cast",
    "compress.ternary", "compress.binary", "compress.codebook", "compress.flexpoint",
    "compress.prune", "compress.lowrank", "compress.redundancy", "compress.hashed",
    "compress.update_stage", "compress.topk", "compress.dgc", "compress.randk",
    "compress.change_stage", "compress.draws", "compress.eden", "compress.powersgd",
    "compress.qsgd",
    "wire.header", "wire.payload", "wire.template", "wire.base", "wire.base_hash",
    "wire.bundles", "wire.decoding", "wire.floats", "wire.forms", "wire.table",
)  # fmt: skip
"""Modules of the package that decoding runs through. The inner loops of numba are machine code,
which no line tracing sees."""

NOT_DECODING = re.compile(
    r"[:._](write|encode|compress|pack_|prepared|refuse|canonical|check_encodable|of$"
    r"|to_bytes|measure|to_codes|error_bound|lost|best_form|from_spec|get_codec|get_stage|names$"
    r"|plain_codec|no_arguments|level_argument|unknown_word|is_staged|__repr__|spec$|general$"
    r"|float_keys|ordered_differences|unzigzag$|candidates|at_survivors|staged$|numbers$|_values$"
    r"|_Parts|_body|_cost|derived_mask|layered$|CodedMask|wire_numbers|embed_template|template_field"
    r"|seal|dense_codes|upper_bits|half_bits|raw_bits|blocks$|join_digits|compress_numbers|_forms$"
    r"|is_continuous|Support.mask|payload_sizes|parameters$|dense_bytes|codec_label|allowed|decode$|StagedCodec.__init__|Codec.__init__"
    r"|codec_names|pcodec_module|_model$|zigzag_|choose_bands|by_size|coarse_counts|saving|spread|split|entropy_bits|supports|layout"
    r"|Layout|Parts|apply$|coded$|places$|kept$|drawn$|pruned_count|factors$|rank$|fitted$|nearest"
    r"|squares$|lloyd|limits$|finite_only|fraction|whole_number|one_of|unreadable|read_granularity"
    r"|is_redundant|no_|written$|packed|select$|contractive|takes_base|less$|filled_up|exact_form"
    r"|exact_float32|corrected_float32|surviving_float32|delivered|as_arrays|check_name|_code$"
    r"|:_ways|_tagged|_Chosen|distinct_keys|:_joined$|:_tables$|:_relative|:_changes$|has_base_mask"
    r"|noise$|stored$|shortest$|_Part|merged$|byte_counts|_words|better_turned|_turned$|_plane$"
    r"|plane_to$|lane_bits|bits$|counted_table|mask_table$|nibbles|_lengths|Support.at$"
    r"|taken_apart|quantised$|load$|without_numba|may_have_bands|Computed|written_steps|joined$"
    r"|deferred|written_lengths|frequencies|chosen$|larger$|levels_of|reach$|joined_or_each"
    r"|unbiased|_part$|share_words|read_share|_Codes|:_of$)"
)
"""Functions (``:qualified name``) that no decoding calls, or that run before it."""

KEPT = re.compile(
    r"decode_bundle|_Layered.blocks|_Same.blocks|_Nested.blocks|_Derived.blocks"
    r"|PositionReader.blocks|_gap_blocks|paq9a:_blocks|read_forms|_read_bins|decode_block"
    r"|affine:_numbers|read_places|rans:decode$|Block.of$|unpack_bits|:_mask_table|_read_lengths"
)
"""Exceptions to ``NOT_DECODING``."""


@dataclass
class LineCoverage:
    """Counts the lines of decoders that run while it is switched on."""

    wanted: dict[CodeType, set[int]] = field(default_factory=dict)
    seen: dict[CodeType, set[int]] = field(default_factory=dict)

    @classmethod
    def of_decoders(cls) -> "LineCoverage":
        """Return a tracer for all functions of ``MODULES`` that decoding may call."""
        coverage = cls()
        for name in MODULES:
            module = importlib.import_module(f"flwr_gan.{name}")
            for function in _functions(module):
                for code in _codes(function.__code__):
                    lines = {line for _, _, line in code.co_lines() if line is not None}
                    lines.discard(code.co_firstlineno)
                    if lines:
                        coverage.wanted[code] = lines
                        coverage.seen[code] = set()
        return coverage

    def start(self) -> None:
        """Trace from here on, which slows decoding several times."""
        sys.settrace(self._enter)

    def stop(self) -> None:
        """Trace no more."""
        sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        seen = self.seen.get(frame.f_code)
        if seen is None or len(seen) == len(self.wanted[frame.f_code]):
            return None

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            if event == "line":
                seen.add(frame.f_lineno)
            return line

        return line

    @property
    def share(self) -> float:
        """Part of the lines that ran."""
        wanted = sum(map(len, self.wanted.values()))
        return 1 - len(self.missed) / wanted

    @property
    def lines(self) -> int:
        """Number of lines that there are."""
        return sum(map(len, self.wanted.values()))

    @property
    def missed(self) -> list[str]:
        """Lines that did not run, as ``file:line (function)``."""
        return [
            f"{code.co_filename.split('flwr_gan/')[-1]}:{line} ({code.co_qualname})"
            for code, wanted in self.wanted.items()
            for line in sorted(wanted - self.seen[code])
        ]


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    for value in vars(module).values():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        members = vars(value).values() if inspect.isclass(value) else (value,)
        for member in members:
            function = getattr(member, "__func__", getattr(member, "fget", member))
            function = getattr(function, "func", function)
            function = inspect.unwrap(function) if callable(function) else function
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                name = f":{function.__qualname__}"
                if function.__code__.co_filename != module.__file__:
                    continue  # methods that dataclasses write
                kept = KEPT.search(f"{module.__name__}{name}")
                if kept or not NOT_DECODING.search(name):
                    yield function


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
