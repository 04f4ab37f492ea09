"""Payloads: the named arrays of a message as bytes and back. FORMAT.md documents every byte."""

from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.base import Base
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.base import DEFAULT_MAX_BYTES, BaseUse, Codec
from flwr_gan.wire.codecs.registry import get_codec
from flwr_gan.wire.codecs.sparse.codec import SparseCodec
from flwr_gan.wire.codecs.threads import coding_threads
from flwr_gan.wire.decoding import checked_base, decode_bodies, read_entries, within_limits
from flwr_gan.wire.encoding import encode_arrays
from flwr_gan.wire.header import PayloadInfo, PayloadSizes, describe_payload
from flwr_gan.wire.inputs import as_array
from flwr_gan.wire.served import Lossy, check_lossy
from flwr_gan.wire.template import Template, check_name


def encode_payload(
    arrays: Mapping[str, Any],
    *,
    codec: str | Codec = "sparse",
    base: Base | Mapping[str, Any] | None = None,
    base_use: BaseUse = "auto",
    self_contained: bool = True,
    strict: bool = False,
    lossy: Lossy = "default",
    threads: int = 1,
) -> bytes:
    """Code named arrays as one payload; the same arrays and settings give the same bytes.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray, torch.Tensor or array_like
        Arrays of any shape and any dtype among bool, integers, floats (bfloat16 too: of
        ``ml_dtypes``, of torch, or ``V2``) and complex numbers. Tensors are converted where that
        is exact. Arrays that are equal bit for bit travel once.
    codec : str or Codec, default="sparse"
        A codec spec, such as ``"zlib:9"``, ``"sparse:int8"``, or ``"auto"``, which chooses one:
        ``describe_payload(payload).codec_label`` tells which.
    base : Base or mapping of str to numpy.ndarray, optional
        Arrays that the receiver holds, bit for bit. Each float array may be coded relative to the
        float array of the same name and shape, of any float type.
    base_use : {"auto", "mask", "values", "derive"}, default="auto"
        How to use the base: its zero pattern (``"mask"``), differences to its values, the mask from
        pruning by its magnitudes (``"derive"``), or the way with the smallest payload.
    self_contained : bool, default=True
        Put the template in the payload; otherwise only its hash, and the receiver needs it. If a
        base with the same template is needed, neither is sent.
    strict : bool, default=False
        Keep -0.0, which otherwise becomes +0.0.
    lossy : {"default", "all"}, default="default"
        Which arrays a lossy codec may change: by default see ``flwr_gan.wire.served``; ``"all"``:
        every float array without infinities and NaN.
    threads : int, default=1
        Number of blocks of 2**20 numbers that ``sparse`` codes in parallel, 1 to 64; the bytes do
        not change.

    Raises
    ------
    CodecError
        If the codec is unknown, the arrays cannot be coded by it, or the base does not fit.
    """
    chosen = get_codec(codec) if isinstance(codec, str) else codec
    if base_use not in get_args(BaseUse):
        allowed = ", ".join(get_args(BaseUse))
        raise CodecError(f"base_use={base_use!r} is unknown; allowed: {allowed}")
    check_lossy(lossy)
    with coding_threads(threads):
        return encode_arrays(
            as_arrays(arrays),
            codec=chosen,
            base=_as_base(base),
            base_use=base_use,
            self_contained=self_contained,
            strict=strict,
            lossy=lossy,
        ).payload


def as_arrays(arrays: Mapping[str, Any]) -> dict[str, Array]:
    """Return named values as arrays that a payload can hold, or raise ``CodecError``."""
    found = {}
    for name, value in arrays.items():
        check_name(name)
        found[name] = as_array(value, name)
    return found


def payload_sizes(payload: bytes) -> PayloadSizes:
    """Return header, mask and value bytes of a payload; they add up to its length.

    Raises
    ------
    PayloadError
        If this is no payload, is damaged, or has another format version.
    """
    return describe_payload(payload).sizes


def decode_payload(
    payload: bytes | PayloadInfo,
    *,
    template: Template | None = None,
    base: Base | Mapping[str, Any] | None = None,
    max_bytes: int | None = DEFAULT_MAX_BYTES,
    writable: bool = True,
    threads: int = 1,
) -> dict[str, Array]:
    """Decode a payload to named arrays, in order, of the template's shapes and dtypes.

    Parameters
    ----------
    payload : bytes or PayloadInfo
        A payload of ``encode_payload``, or any bytes: nothing in it is trusted. If it is read
        several times, pass the result of ``describe_payload``.
    template : Template, optional
        Names, shapes and dtypes that the arrays must have; needed if the payload has only the
        template's hash and the base has another template.
    base : Base or mapping of str to numpy.ndarray, optional
        Arrays that the payload may be relative to; a ``Base`` saves time over many payloads.
    max_bytes : int or None
        Maximum total bytes of the arrays. None: no limit but the template, for a given template or
        a trusted payload.
    writable : bool, default=True
        Return writable arrays. Otherwise they may be views of the payload or of each other, which
        saves copies.
    threads : int, default=1
        Number of blocks of 2**20 numbers that ``sparse`` decodes in parallel, 1 to 64.

    Returns
    -------
    dict of str to numpy.ndarray
        The arrays; bfloat16 arrays have the dtype of ``ml_dtypes``, or ``V2`` if that is not
        installed.

    Raises
    ------
    PayloadError
        If the payload cannot be decoded, for any reason. If it needs a base that was not given, or
        another one, the message contains ``unknown_base``.
    """
    info = _described(payload)
    held = _as_base(base) if info.base_need != "none" or template is None else None
    known = _template(info, template, held)
    if max_bytes is not None and known.nbytes > max_bytes:
        raise PayloadError(f"payload has arrays of {known.nbytes} bytes; max_bytes={max_bytes}")
    # Forged numbers may overflow; the results are checked.
    with coding_threads(threads), np.errstate(all="ignore"):
        entries = read_entries(info, known)
        arrays = decode_bodies(
            info.bodies,
            known,
            entries,
            codec=info.codec,
            base=checked_base(info, known, entries, held),
            writable=writable,
        )
    return dict(zip(known.names, arrays, strict=True))


def has_base_mask(payload: bytes | PayloadInfo, *, base: Base) -> bool:
    """Return True if a payload holds only the values of a base's survivors.

    This holds for the codec ``sparse``, with or without a stage of single weights before it, if all
    arrays are float32, are coded in the same way, and the mask did not change.

    Raises
    ------
    PayloadError
        If the payload is damaged.
    """
    return _survivor_codec(_described(payload), base) is not None


def decode_survivors(payload: bytes | PayloadInfo, *, base: Base) -> Array | None:
    """Decode only the values of a base's survivors; None where ``has_base_mask`` is false.

    Returns
    -------
    numpy.ndarray of float32, or None
        The surviving weights in row-major order, array after array; ``base.split`` divides them.

    Raises
    ------
    PayloadError
        If the payload is damaged or needs another base.
    """
    info = _described(payload)
    codec = _survivor_codec(info, base)
    if codec is None:
        return None
    template = base.template
    fits = info.template_hash in (None, template.hash)
    if not fits or base.name(info.base_need) != info.base_hash:
        raise PayloadError(f"unknown_base: payload needs the {info.base_need} of another base")
    at_once = codec.survivors_at_once(info.body, base.arrays)
    if at_once is not None:
        return at_once
    with np.errstate(all="ignore"):
        found = codec.decode_survivors(info.body, template.specs, base=base.arrays)
    return found if codec.lossless else within_limits(found)


def _described(payload: bytes | PayloadInfo) -> PayloadInfo:
    return payload if isinstance(payload, PayloadInfo) else describe_payload(payload)


def _as_base(base: Base | Mapping[str, Any] | None) -> Base | None:
    return base if base is None or isinstance(base, Base) else Base(base)


def _template(info: PayloadInfo, given: Template | None, base: Base | None) -> Template:
    """Return the template that a payload is decoded with, or raise ``PayloadError``."""
    if given is not None and info.template_hash not in (None, given.hash):
        raise PayloadError("payload is of arrays with other names, shapes or dtypes than expected")
    if info.template_hash is None:
        if base is None:
            raise PayloadError(
                f"unknown_base: payload needs the {info.base_need} of a base, none given"
            )
        if given is not None and given.hash != base.template.hash:
            raise PayloadError(f"unknown_base: payload needs the {info.base_need} of another base")
        return base.template
    known = given or info.template
    if known is None and base is not None and base.template.hash == info.template_hash:
        known = base.template
    if known is None:
        raise PayloadError("payload has the hash of its template alone; pass template=")
    return known


def _survivor_codec(info: PayloadInfo, base: Base) -> SparseCodec | None:
    codec = info.codec
    if info.base_need == "none" or info.table or not isinstance(codec, SparseCodec):
        return None
    return codec if codec.survivors_are_all(info.body, base.template.specs) else None
