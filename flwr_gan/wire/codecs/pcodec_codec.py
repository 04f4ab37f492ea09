"""pcodec: binning and finite-state entropy coding of numbers, per type."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.arrays import Array, ArraySpec
from flwr_gan.wire.codecs.base import BytesCodec, Codec
from flwr_gan.wire.codecs.library import level_of
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

_NUMBER_CODES = {"<f2", "<f4", "<f8", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8"}


class PcodecCodec(BytesCodec):
    """One pcodec file for each dtype among the arrays, in order of first appearance. Lossless.

    Types of one byte are coded as pairs of bytes (``uint16``), complex numbers as pairs of reals.
    """

    name = "pcodec"
    wire_id = 5

    def __init__(self, *, level: int = 8) -> None:
        pcodec_module()
        self.level = level
        self.spec = f"pcodec:{level}"

    @classmethod
    def from_spec(cls, words: tuple[str, ...]) -> Codec:
        """Build ``pcodec`` or ``pcodec:LEVEL``, level 0 to 12."""
        return cls(level=level_of(cls.name, words, 0, 12, 8))

    def write(self, arrays: Sequence[Array]) -> bytes:
        """Code all numbers of one kind together."""
        groups: dict[np.dtype[Any], bytearray] = {}
        for array in arrays:
            number = _number_dtype(array.dtype)
            native = array.astype(array.dtype.newbyteorder("<"), copy=False)
            groups.setdefault(number, bytearray()).extend(native.tobytes())
        coded = bytearray()
        for number, data in groups.items():
            data.extend(bytes(-len(data) % number.itemsize))
            if data:
                blob = compress_numbers(np.frombuffer(data, number), level=self.level)
                coded += write_varint(len(blob)) + blob
        return bytes(coded)

    def read(self, values: bytes | memoryview, specs: Sequence[ArraySpec]) -> list[Array]:
        """Decode each group straight into one buffer, which the arrays of the group share."""
        reader = ByteReader(values, what="pcodec payload")
        sizes: dict[np.dtype[Any], int] = {}
        for spec in specs:
            number = _number_dtype(spec.dtype)
            sizes[number] = sizes.get(number, 0) + spec.nbytes
        buffers = {
            number: _read_group(reader, number, -(-size // number.itemsize))
            for number, size in sizes.items()
        }
        reader.finish()
        at = dict.fromkeys(sizes, 0)
        arrays = []
        for spec in specs:
            number = _number_dtype(spec.dtype)
            start = at[number]
            at[number] += spec.nbytes
            flat = buffers[number].view(np.uint8)[start : at[number]]
            native = flat.view(spec.dtype.newbyteorder("<")).reshape(spec.shape)
            arrays.append(native.astype(spec.dtype, copy=False))
        return arrays


def _number_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    code = dtype.newbyteorder("<").str
    if code in _NUMBER_CODES:
        return np.dtype(code)
    return np.dtype({"<c8": "<f4", "<c16": "<f8"}.get(code, "<u2"))


def _read_group(reader: ByteReader, number: np.dtype[Any], count: int) -> Array:
    if not count:
        return np.empty(0, number)
    blob = bytes(reader.take(reader.varint(limit=reader.left)))
    numbers = np.empty(count, number)
    decompress_numbers(blob, numbers)
    return numbers


def pcodec_module() -> Any:
    """Return the module ``pcodec``, or raise ``CodecError`` that names the extra to install."""
    try:
        import pcodec
    except ImportError as error:
        raise CodecError(
            "pcodec is not installed; install it with: pip install 'flwr-gan[pcodec]'"
        ) from error
    return pcodec


def compress_numbers(numbers: Array, *, level: int, plain: bool = False) -> bytes:
    """Return a standalone pcodec file of a 1-D array of a 16, 32 or 64 bit type.

    ``plain`` numbers are only binned: no search for common factors, short floats or sequences.
    """
    pcodec = pcodec_module()
    config = pcodec.ChunkConfig(compression_level=level)
    if plain:
        config = pcodec.ChunkConfig(
            compression_level=level,
            mode_spec=pcodec.ModeSpec.classic(),
            delta_spec=pcodec.DeltaSpec.no_op(),
        )
    return bytes(pcodec.standalone.simple_compress(numbers, config))


def decompress_numbers(blob: bytes, target: Array) -> None:
    """Decode a standalone pcodec file into ``target``, which it must fill exactly.

    Raises ``PayloadError`` if the file is damaged, or holds another number or type of values.
    """
    from pcodec import standalone

    try:
        progress = standalone.simple_decompress_into(blob, target)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise PayloadError(f"pcodec stream is damaged: {error}") from error
    except BaseException as error:
        # A panic in the library arrives as an exception outside the tree of Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise PayloadError(f"pcodec stream is damaged: {error}") from error
    if progress.n_processed != len(target) or not progress.finished:
        raise PayloadError(f"pcodec stream does not hold exactly {len(target)} numbers")
