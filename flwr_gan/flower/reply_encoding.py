"""How a reply becomes a payload: on the client, and where the server compares codecs."""

from collections.abc import Mapping
from typing import TypeVar

from flwr_gan.flower.records import Arrays
from flwr_gan.wire import Template, encode_payload, encode_with_feedback

Held = TypeVar("Held")


def base_for(held: Mapping[str, Held], record: str) -> Held | None:
    """Return what a reply's record may refer to: its namesake, or the only record there was."""
    if record in held:
        return held[record]
    return next(iter(held.values())) if len(held) == 1 else None


def encode_reply(arrays: Arrays, *, codec: str, base: Arrays | None) -> bytes:
    """Return the payload of a reply to a broadcast of `base`.

    Arrays with the base's names, shapes and dtypes travel with the hash of their template alone;
    others carry their template, and the server decides whether it expects them.
    """
    base = _usable(base, arrays)
    return encode_payload(arrays, codec=codec, base=base, self_contained=base is None)


def encode_reply_with_feedback(
    arrays: Arrays, residual: Arrays | None, *, codec: str, base: Arrays | None
) -> tuple[bytes, Arrays]:
    """Return the payload of a reply with what the last one lost, and what this one loses."""
    base = _usable(base, arrays)
    return encode_with_feedback(
        arrays, residual, codec=codec, base=base, self_contained=base is None
    )


def _usable(base: Arrays | None, arrays: Arrays) -> Arrays | None:
    same = base and Template.of(arrays).hash == Template.of(base).hash
    return base if same else None
