"""One student for a pool of generators, without real data.

P generators of the pool, K classes, B batch, L latent, N samples, T vectors, C components.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.sampling import sample
from flwr_gan.gan.threads import torch_threads
from flwr_gan.gan.weights import Arrays, as_tensor, load_network_arrays, network_arrays
from flwr_gan.methods.chain import channel_counts, narrowed, resized
from flwr_gan.methods.distillation import distil
from flwr_gan.seeding import derive_seed, numpy_rng

LABELS = 65_536
"""Number of labels drawn for one distillation; batches draw from them."""

HELD = 64
"""Number of the pool's generators in memory at a time."""

Load = Callable[[int], Mapping[str, NDArray[Any]]]


class PoolTeacher(SampleGenerator):
    """A pool as one generator: each member has a slab of the latent space.

    The student's target must depend only on the latent vector and the label: with members drawn at
    random, the student would learn their mean. So the quantile of the first latent number selects
    the member, in proportion to ``share_PK``, and its position in the slab gives that member's own
    first number. So each member sees N(0, I), and the samples have the distribution of a pool with
    members drawn at random. ``load(index)`` returns the arrays of a member, of the form of
    ``form``; ``counts_PK`` are the weights of the members in each class, and each requested class
    needs a member.
    """

    def __init__(self, form: SampleGenerator, load: Load, counts_PK: NDArray[np.int64]) -> None:
        super().__init__()
        self.take_sizes(form)

        @lru_cache(maxsize=HELD)
        def member(index: int) -> SampleGenerator:
            generator = deepcopy(form)
            load_network_arrays(generator, load(index))
            return generator

        self._member = member
        share_PK = np.cumsum(counts_PK, axis=0, dtype=np.float64)
        share_PK /= np.maximum(share_PK[-1], 1)  # the last member that has some gets to 1 exactly
        edges = np.concatenate([np.zeros((1, counts_PK.shape[1])), share_PK])
        self.register_buffer("edges", as_tensor(edges), persistent=False)

    def owners(self, z_BL: Tensor, y_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return the selected members, int64 ``(B,)``, and their latent vectors."""
        below_one = 1 - torch.finfo(torch.float64).eps
        quantile_B = torch.special.ndtr(z_BL[:, 0].double()).clamp(max=below_one)
        edges_BP = self.get_buffer("edges")[:, y_B].T
        owner_B = (quantile_B[:, None] >= edges_BP[:, 1:]).sum(1)
        low_B, high_B = (edges_BP.gather(1, (owner_B + side)[:, None])[:, 0] for side in (0, 1))
        within_B = ((quantile_B - low_B) / (high_B - low_B)).clamp(2.0**-24, 1 - 2.0**-24)
        own_BL = z_BL.clone()
        own_BL[:, 0] = torch.special.ndtri(within_B).to(z_BL.dtype)
        return owner_B, own_BL

    def forward(self, z_BL: Tensor, y_B: Tensor) -> Tensor:
        """Generate ``x_BTC`` with the member that owns each latent vector."""
        owner_B, own_BL = self.owners(z_BL, y_B)
        x_BTC = z_BL.new_empty(len(y_B), *self.sample_shape)
        for owner in sorted(set(owner_B.tolist())):
            mine_B = owner_B == owner
            x_BTC[mine_B] = self._member(owner)(own_BL[mine_B], y_B[mine_B])
        return x_BTC


class PoolStudent:
    """A generator that learns a pool's samples by the pixel loss.

    ``form`` is a generator of the members' form, and the student has a ``width`` of each hidden
    layer's channels, one at least; ``distil`` explains the training. Raises ConfigError if the
    form's channels cannot be cut.
    """

    def __init__(
        self,
        form: SampleGenerator,
        *,
        width: float = 1.0,
        iterations: int = 2000,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        seed: int = 0,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        channels = narrowed(channel_counts(form), width)
        self._form = form
        self._student = resized(form, channels, seed=derive_seed(seed, "student"))
        self._iterations, self._batch_size = iterations, batch_size
        self._learning_rate, self._seed = learning_rate, seed
        self._threads, self._device = threads, device

    def learn(self, load: Load, counts_PK: NDArray[np.int64]) -> None:
        """Distil a pool, from the student's initial weights or those of earlier training.

        ``counts_PK`` are the samples that each member's client holds of each class, at least one in
        all.
        """
        counts_K = counts_PK.sum(axis=0, dtype=np.float64)
        labels_N = numpy_rng(self._seed, "student-labels").choice(
            len(counts_K), size=LABELS, p=counts_K / counts_K.sum()
        )
        form = deepcopy(self._form).to(self._device)
        with torch_threads(self._threads):
            distil(
                self._student.to(self._device),
                teacher=PoolTeacher(form, load, counts_PK).to(self._device),
                labels_N=labels_N,
                losses={"pixel": 1.0},
                iterations=self._iterations,
                batch_size=self._batch_size,
                learning_rate=self._learning_rate,
                rng=torch.Generator().manual_seed(derive_seed(self._seed, "student-training")),
                progress="student of the pool",
            )
        self._student.to("cpu")

    def sample(self, labels_N: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
        """Return samples ``x_NTC`` of the student, one for each label."""
        with torch_threads(self._threads):
            return sample(self._student, labels_N, rng=torch.Generator().manual_seed(seed))

    def arrays(self) -> Arrays:
        """Return the student's weights."""
        return network_arrays(self._student)

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the weights from ``arrays``."""
        load_network_arrays(self._student, arrays)
