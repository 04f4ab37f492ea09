"""Weights as decoded by a receiver, with the wire's own stages, for use in training."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from flwr_gan.errors import CodecError, ConfigError
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.codecs.arrays import Array, ArraySpec
from flwr_gan.wire.stages import stage_names

Arrays = dict[str, NDArray[np.float32]]


class StageChain:
    """Stages of a codec spec, without the lossless codec after them.

    ``spec`` is one or more stages, such as ``"prune:magnitude:0.8+quantize:int4"``; a ConfigError
    for an invalid one names the setting ``method.KEY``.
    """

    def __init__(self, spec: str, *, key: str = "stage") -> None:
        self.spec = spec
        self._key = key
        if not isinstance(spec, str):
            raise ConfigError(
                f"method.{key}={spec!r} is not allowed: give the spec of a stage, such as "
                f"quantize:int4; stages: {', '.join(stage_names())}"
            )
        try:
            self._codec = get_codec(f"{spec}+raw")
        except CodecError as error:
            raise ConfigError(f"method.{key}={spec!r} is not allowed: {error}") from error

    def decode(self, arrays: Mapping[str, Array]) -> Arrays:
        """Return float32 arrays after coding and decoding.

        Raises CodecError if a weight cannot be coded, such as NaN.
        """
        specs = [ArraySpec(array.shape, array.dtype) for array in arrays.values()]
        body = self._codec.encode_bundle(list(arrays.values()))
        return dict(zip(arrays, self._codec.decode_bundle(body, specs), strict=True))

    def decode_first(self, arrays: Mapping[str, Array]) -> Arrays:
        """Code and decode the initial weights of a training.

        Raises ConfigError if they cannot be coded: the setting does not fit the generator.
        """
        try:
            return self.decode(arrays)
        except CodecError as error:
            network = "critic" if self._key == "critic" else "generator"
            raise ConfigError(
                f"method.{self._key}={self.spec!r} does not fit this {network}: {error}"
            ) from error
