"""One message, one payload: named arrays to bytes and back. FORMAT.md has every byte."""

from collections.abc import Mapping, Sequence

import numpy as np

from flwr_gan.codecs.arrays import Array, check_encodable, own_copy
from flwr_gan.codecs.base import DEFAULT_MAX_BYTES, BaseUse, Codec
from flwr_gan.codecs.registry import get_codec
from flwr_gan.codecs.sparse.codec import SparseCodec
from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.base import Base
from flwr_gan.wire.base_hash import base_hash
from flwr_gan.wire.header import PayloadInfo, PayloadSizes, describe_payload, write_payload
from flwr_gan.wire.template import Template

_BASE_USES = ("auto", "mask", "values", "derive")


def encode_payload(
    arrays: Mapping[str, Array],
    *,
    codec: str | Codec = "sparse",
    base: Mapping[str, Array] | None = None,
    base_use: BaseUse = "auto",
    self_contained: bool = True,
    strict: bool = False,
) -> bytes:
    """Code named arrays as one payload; the same arrays and settings give the same bytes.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        Arrays of any shape and any dtype among bool, integers, floats and complex numbers.
    codec : str or Codec, default="sparse"
        A codec spec, such as ``"zlib:9"``, ``"sparse:int8"``, or ``"auto"``, which chooses one:
        ``describe_payload(payload).codec_label`` tells which.
    base : mapping of str to numpy.ndarray, optional
        Arrays of the same template that the receiver holds, bit for bit.
    base_use : {"auto", "mask", "values", "derive"}, default="auto"
        What the payload may lean on: the base's zero pattern, differences to its values, the mask
        that pruning by its magnitudes gives, or whatever makes the payload smallest.
    self_contained : bool, default=True
        Put the template in the payload; otherwise its hash alone, and the receiver needs it.
    strict : bool, default=False
        Keep -0.0, which otherwise becomes +0.0.

    Raises
    ------
    CodecError
        If the codec is unknown, the arrays cannot be coded by it, or the base does not fit.
    """
    chosen = get_codec(codec) if isinstance(codec, str) else codec
    if base_use not in _BASE_USES:
        raise CodecError(f"base_use={base_use!r} is unknown; allowed: {', '.join(_BASE_USES)}")
    template = Template.of(arrays)
    ordered = [check_encodable(np.asarray(array)) for array in arrays.values()]
    held = None
    if base is not None:
        held = template.arrays_in_order(base)
        if held is None:
            raise CodecError("base does not have the names, shapes and dtypes of the arrays")
    if held is None and base_use != "auto":
        raise CodecError(f"base_use={base_use!r} needs a base")
    chosen = chosen.select(ordered, strict=strict, base=held, base_use=base_use)
    body = chosen.encode_bundle(ordered, strict=strict, base=held, base_use=base_use)
    name = b""
    if held is not None and body.base_need != "none":
        name = base_hash(template, held, body.base_need)
    return write_payload(
        chosen, template, body, base_name=name, self_contained=self_contained, strict=strict
    )


def payload_sizes(payload: bytes) -> PayloadSizes:
    """Return header, mask and value bytes of a payload; they add up to its length.

    Raises
    ------
    PayloadError
        If this is no payload, it is damaged, or it comes from a newer version.
    """
    return describe_payload(payload).sizes


def decode_payload(
    payload: bytes | PayloadInfo,
    *,
    template: Template | None = None,
    base: Base | Mapping[str, Array] | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    writable: bool = True,
) -> dict[str, Array]:
    """Decode a payload to named arrays, in order, of the template's shapes and dtypes.

    Parameters
    ----------
    payload : bytes or PayloadInfo
        What ``encode_payload`` returned, or anything else: nothing in it is trusted. Who looks at
        it several times hands in what ``describe_payload`` has read of it.
    template : Template, optional
        What the arrays must be; needed where the payload has its hash alone.
    base : Base or mapping of str to numpy.ndarray, optional
        The arrays that the payload may lean on; as a ``Base`` where many payloads do.
    max_bytes : int
        Most bytes that the arrays may have together.
    writable : bool, default=True
        Return arrays that may be changed. Otherwise they may be views of the payload, which save
        a copy where it holds the arrays' bytes as they are.

    Raises
    ------
    PayloadError
        If the payload cannot be decoded, whatever the reason. Where it leans on a base that was
        not given, or on another one, the message has the word ``unknown_base``.
    """
    info = _described(payload)
    if template and info.template_hash and template.hash != info.template_hash:
        raise PayloadError("payload is of arrays with other names, shapes or dtypes than expected")
    known = template or info.template
    if known is None:
        raise PayloadError("payload has the hash of its template alone; pass template=")
    if known.nbytes > max_bytes:
        raise PayloadError(f"payload has arrays of {known.nbytes} bytes; max_bytes={max_bytes}")
    held: Sequence[Array] | None = None
    if info.base_need != "none":
        held = _checked_base(info, known, base)
    decoded = info.codec.decode_bundle(info.body, known.specs, base=held)
    for name, array in zip(known.names, decoded, strict=True):
        if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
            raise PayloadError(f"array {name} of bool has a byte that is neither 0 nor 1")
    if writable:
        decoded = [own_copy(array) for array in decoded]
    return dict(zip(known.names, decoded, strict=True))


def has_base_mask(payload: bytes | PayloadInfo, *, base: Base) -> bool:
    """Return True if a payload is the values of a base's survivors and nothing else.

    So it is with the codec ``sparse``, a stage of single weights before it or not, where all
    arrays are float32 and the mask did not change.

    Raises
    ------
    PayloadError
        If the payload is damaged.
    """
    return _survivor_codec(_described(payload), base) is not None


def decode_survivors(payload: bytes | PayloadInfo, *, base: Base) -> Array | None:
    """Decode the values of a base's survivors alone; None where ``has_base_mask`` is false.

    Returns
    -------
    numpy.ndarray of float32, or None
        The surviving weights in row-major order, array after array; ``base.split`` divides them.

    Raises
    ------
    PayloadError
        If the payload is damaged or leans on another base.
    """
    info = _described(payload)
    codec = _survivor_codec(info, base)
    if codec is None:
        return None
    _checked_base(info, base.template, base)
    return codec.decode_survivors(info.body, base.template.specs, base=base.arrays)


def _described(payload: bytes | PayloadInfo) -> PayloadInfo:
    return payload if isinstance(payload, PayloadInfo) else describe_payload(payload)


def _survivor_codec(info: PayloadInfo, base: Base) -> SparseCodec | None:
    codec = info.codec
    if info.base_need == "none" or not isinstance(codec, SparseCodec):
        return None
    return codec if codec.survivors_are_all(info.body, base.template.specs) else None


def _checked_base(
    info: PayloadInfo, template: Template, base: Base | Mapping[str, Array] | None
) -> Sequence[Array]:
    if base is None:
        raise PayloadError(
            f"unknown_base: payload needs the {info.base_need} of a base, none given"
        )
    known = base if isinstance(base, Base) else _base_of(template, base)
    if (
        known is None
        or known.template.hash != template.hash
        or known.name(info.base_need) != info.base_hash
    ):
        raise PayloadError(f"unknown_base: payload needs the {info.base_need} of another base")
    return known.arrays


def _base_of(template: Template, arrays: Mapping[str, Array]) -> Base | None:
    return None if template.arrays_in_order(arrays) is None else Base(arrays)
