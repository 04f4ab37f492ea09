"""Base classes of all codecs: arrays to bytes and back, one array or many at a time."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.arrays import Array, ArraySpec, canonical_zeros, check_encodable, own_copy
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

BaseUse = Literal["auto", "mask", "values", "derive"]
BaseNeed = Literal["none", "mask", "values"]

DEFAULT_MAX_BYTES = 1 << 30
"""Default limit of decoded bytes."""


@dataclass(frozen=True)
class Body:
    """The coded arrays of one payload.

    Parameters
    ----------
    mask : bytes
        The positions of nonzero weights; empty if the codec has no separate mask.
    values : bytes, memoryview or Pieces
        Everything else: pieces when written, one byte string when read.
    base_need : {"none", "mask", "values"}
        What the decoder needs of the base: nothing, its zero pattern, or its values.
    decoded : callable, optional
        Returns the result of ``decode_bundle`` for a body just written, without reading it.
    """

    mask: bytes
    values: bytes | memoryview | Pieces
    base_need: BaseNeed = "none"
    decoded: Callable[[], list[Array]] | None = field(default=None, repr=False, compare=False)

    @property
    def joined(self) -> bytes | memoryview:
        """The values as one byte string."""
        return bytes(self.values) if isinstance(self.values, Pieces) else self.values


class Codec(ABC):
    """Turns arrays into bytes and back.

    Attributes
    ----------
    name : str
        First word of the codec's spec, such as ``"zlib"``.
    wire_id : int
        Number of the codec in a payload; permanent, never reused.
    spec : str
        The codec with its settings, such as ``"zlib:9"``; ``get_codec(spec)`` makes it again.
    lossless : bool
        True if decoding restores every bit (except the sign of zeros, unless ``strict``).
    general : bool
        True if the codec sees bytes instead of weights and so has no mask.
    takes_base : bool
        True if weights may be coded relative to a base.
    updates : bool
        True if a stage codes updates: changes to the receiver's arrays.
    decodes_finite : bool
        True if all decoded values are finite for any bytes, given a finite base.
    contractive : bool
        True if error feedback makes up for the loss: the norm of the residual is never above
        that of the input. False for lossless codecs.
    """

    name: str
    wire_id: int
    spec: str
    lossless: bool = True
    general: bool = True
    takes_base: bool = False
    updates: bool = False
    decodes_finite: bool = False
    contractive: bool = False

    @classmethod
    def from_spec(cls, words: tuple[str, ...]) -> "Codec":
        """Build the codec from the words after its name in a spec, here none.

        Raises
        ------
        CodecError
            If the words cannot be read.
        """
        if words:
            raise CodecError(
                f"codec {':'.join((cls.name, *words))!r}: {cls.name} takes no settings"
            )
        return cls()

    @abstractmethod
    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Body:
        """Code several arrays together.

        Parameters
        ----------
        arrays : sequence of numpy.ndarray
            C-contiguous arrays of any codable dtype.
        strict : bool, default=False
            Keep the sign of zeros.
        base : sequence of numpy.ndarray, optional
            Arrays of the same shapes and dtypes that the receiver holds.
        base_use : {"auto", "mask", "values", "derive"}, default="auto"
            How the base may be used; ``"auto"`` takes the way with the fewest bytes.

        Raises
        ------
        CodecError
            If the arrays cannot be coded, or not in the way asked for.
        """

    def select(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> "Codec":
        """Return the codec to name in a payload of these arrays: this one, except for ``auto``.

        The arguments are those of ``encode_bundle``.
        """
        return self

    @abstractmethod
    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode what ``encode_bundle`` returned; ``specs`` must have been checked for size.

        The arrays may be read-only views of the body.

        Raises
        ------
        PayloadError
            If ``encode_bundle`` cannot have returned these bytes.
        """

    def encode(self, array: npt.ArrayLike, *, strict: bool = False) -> bytes:
        """Code one array on its own.

        Parameters
        ----------
        array : array_like
            Any shape, any codable dtype.
        strict : bool, default=False
            Keep the sign of zeros, which otherwise all become +0.0.

        Raises
        ------
        CodecError
            If the array cannot be coded.
        """
        body = self.encode_bundle([check_encodable(np.asarray(array))], strict=strict)
        if self.general:
            return bytes(body.values)
        return write_varint(len(body.mask)) + body.mask + bytes(body.values)

    def decode(
        self,
        blob: bytes,
        *,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> Array:
        """Decode what ``encode`` returned.

        Parameters
        ----------
        blob : bytes
            The coded array.
        shape : tuple of int
            Shape of the array that was coded.
        dtype : numpy dtype
            Its dtype.
        max_bytes : int
            Largest array to return.

        Raises
        ------
        PayloadError
            If ``encode`` cannot have returned these bytes for that shape and dtype.
        """
        spec = ArraySpec(tuple(shape), np.dtype(dtype))
        if spec.nbytes > max_bytes:
            raise PayloadError(f"array of {spec.nbytes} bytes exceeds max_bytes={max_bytes}")
        reader = ByteReader(blob, what="coded array")
        mask = b"" if self.general else bytes(reader.take(reader.varint(limit=reader.left)))
        return own_copy(self.decode_bundle(Body(mask, bytes(reader.rest())), [spec])[0])

    @property
    def keeps_sign(self) -> bool:
        """True if, without a base, no nonnegative value becomes negative."""
        return self.lossless

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spec!r})"


class BytesCodec(Codec):
    """A codec without mask or base: arrays to one byte string, and back."""

    keeps_zeros: ClassVar[bool] = False
    """True if -0.0 stays even without ``strict``."""

    @abstractmethod
    def write(self, arrays: Sequence[Array]) -> bytes | memoryview:
        """Code C-contiguous arrays of any codable dtype."""

    @abstractmethod
    def read(self, values: bytes | memoryview, specs: Sequence[ArraySpec]) -> list[Array]:
        """Decode what ``write`` returned, or raise ``PayloadError``; arrays may be views of it."""

    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Body:
        """Code the arrays together, with canonical zeros unless ``strict``."""
        refuse_base(base_use, self.spec)
        return Body(b"", self.write(prepared(arrays, strict=strict or self.keeps_zeros)))

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode the values; there is no mask."""
        if body.mask:
            raise PayloadError(f"{self.name} payload has a mask, which {self.name} never writes")
        return self.read(body.joined, specs)


def prepared(arrays: Sequence[Array], *, strict: bool) -> list[Array]:
    """Return the arrays C-contiguous and, unless ``strict``, with canonical zeros."""
    checked = [check_encodable(array) for array in arrays]
    return checked if strict else [canonical_zeros(array) for array in checked]


def refuse_base(base_use: BaseUse, spec: str) -> None:
    """Raise ``CodecError`` if ``base_use`` needs a base, which this codec cannot use."""
    if base_use != "auto":
        raise CodecError(
            f"codec {spec}: base_use={base_use!r} needs the codec sparse; use base_use='auto'"
        )
