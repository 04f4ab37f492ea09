"""Flower's weighted average, summed while replies are checked, so each is decoded once."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import numpy as np
from flwr.common import EvaluateRes, FitRes, Parameters, Scalar
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import FedAvg, Strategy

from flwr_gan.flower.records import NUMPY_STYPE, Arrays, npy_space, scattered_parameters
from flwr_gan.flower.reply import CodedReply
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array, ArraySpec

Results = list[tuple[ClientProxy, FitRes]]
Scores = list[tuple[ClientProxy, EvaluateRes]]
Failures = list[tuple[ClientProxy, Any] | BaseException]
Averaged = tuple[Parameters | None, dict[str, Scalar]]

_BLOCK = 1 << 15


def averages_in_place(strategy: Strategy) -> bool:
    """Return True if a strategy aggregates by ``FedAvg.aggregate_fit``, in place."""
    inherited = getattr(strategy.aggregate_fit, "__func__", None) is FedAvg.aggregate_fit
    return inherited and isinstance(strategy, FedAvg) and bool(strategy.inplace)


class RunningMean:
    """The mean that Flower's ``aggregate_inplace`` gives, bit for bit, one reply at a time.

    The sum holds only survivors if all replies are new values for the survivors of one mask, else
    whole arrays. A reply's weight is its share of all samples. The total number of samples must be
    known in advance; it is verified at the end.
    """

    def __init__(self, num_examples: int) -> None:
        self._num_examples = num_examples
        self._replies: list[CodedReply] = []
        self._sums: dict[str, Array] = {}
        self._npy: dict[str, BytesIO] = {}
        self._are_survivors = False
        self._sound = num_examples > 0

    def add(self, reply: CodedReply, found: Array | Arrays, num_examples: int) -> None:
        """Add the result of ``CodedReply.check`` for a reply; it is not changed."""
        are_survivors = not isinstance(found, Mapping)
        parts = {"": found} if not isinstance(found, Mapping) else found
        first = not self._replies
        if first:
            self._are_survivors = are_survivors
        self._replies.append(reply)
        self._sound = (
            self._sound and are_survivors == self._are_survivors and self._fits(reply, parts)
        )
        if not self._sound:
            self._sums, self._npy = {}, {}
            return
        share = np.float64(num_examples / self._num_examples)
        if first:
            for name, part in parts.items():
                if are_survivors:
                    self._sums[name] = np.empty_like(part)
                else:
                    spec = ArraySpec(part.shape, part.dtype)
                    self._npy[name], self._sums[name] = npy_space(spec)
        for name, part in parts.items():
            _add_weighed(self._sums[name], part, share, first=first)

    def is_of(self, results: Results) -> bool:
        """Return True if this is the mean of exactly these results, in this order."""
        return (
            self._sound
            and len(results) == len(self._replies)
            and sum(result.num_examples for _, result in results) == self._num_examples
            and all(
                getattr(result, "coded", None) is reply
                for (_, result), reply in zip(results, self._replies, strict=True)
            )
        )

    def aggregate(
        self,
        aggregate_fit: Callable[[int, Results, Failures], Averaged],
        server_round: int,
        results: Results,
        failures: Failures,
    ) -> Averaged:
        """Return the result of ``FedAvg.aggregate_fit``, with this mean as parameters."""
        bare = [
            (client, FitRes(r.status, Parameters([], NUMPY_STYPE), r.num_examples, r.metrics))
            for client, r in results
        ]
        parameters, metrics = aggregate_fit(server_round, bare, failures)
        return (None if parameters is None else self._parameters()), metrics

    def _parameters(self) -> Parameters:
        base = self._replies[0].base
        if base is not None and self._are_survivors:
            return scattered_parameters(base, self._sums[""])
        self._sums = {}
        return Parameters([buffer.getvalue() for buffer in self._npy.values()], NUMPY_STYPE)

    def _fits(self, reply: CodedReply, parts: Arrays) -> bool:
        """Return True if a reply can be added to those before it."""
        if reply.opaque or any(part.dtype.kind not in "iuf" for part in parts.values()):
            return False
        first = self._replies[0]
        if reply is first:
            return True
        if self._are_survivors and reply.base is not first.base:
            if reply.base is None or first.base is None:
                return False
            if reply.base.name("mask") != first.base.name("mask"):
                return False
        return _forms(parts) == _forms(self._sums)


def _forms(parts: Arrays) -> list[tuple[str, tuple[int, ...], Any]]:
    return [(name, part.shape, part.dtype) for name, part in parts.items()]


def _add_weighed(total: Array, values: Array, share: np.float64, *, first: bool) -> None:
    """Add ``values * share`` to ``total``, rounded as in Flower; write it if it is the first."""
    # Flower multiplies whole numbers by the share as a whole number.
    weighs = np.can_cast(np.float64, values.dtype, "same_kind")
    factor = share if weighs else np.array(share, values.dtype)
    flat, sums = values.reshape(-1), total.reshape(-1)
    if values.dtype == np.float32 and compiled.kernels() is not None:
        from flwr_gan.flower.sum_kernels import weigh

        weigh(flat, share, first, sums)
        return
    for at in range(0, len(flat), _BLOCK):
        part = slice(at, at + _BLOCK)
        if first:
            np.multiply(flat[part], factor, out=sums[part])
        else:
            weighed = np.multiply(flat[part], factor, out=np.empty_like(flat[part]))
            np.add(sums[part], weighed, out=sums[part])
