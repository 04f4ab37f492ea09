"""One entry on one trained generator: compress, send, decode, measure."""

import json
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.benchmarks.families.entries import REFERENCE, Entry
from experiments.benchmarks.families.material import (
    Material,
    Sampler,
    base_settings,
    load_data,
    make_judge,
    trained_gan,
)
from experiments.study.cases import StudyCase
from experiments.study.results import keep_samples
from flwr_gan.data.dataset import Dataset
from flwr_gan.errors import ConfigError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import load_network_arrays, network_arrays
from flwr_gan.methods import Method, TrainedGan
from flwr_gan.metrics import SampleJudge, laplacian_variance, score_compressed
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import Template, decode_payload, encode_payload

SHOWN = 20
"""Number of samples of each case that are kept for pictures."""


@dataclass(frozen=True)
class Case(StudyCase):
    """An entry, a kind of generator and a seed."""

    title = "{material.name}_seed{seed}_{entry.name}"

    entry: Entry  # method of compression
    material: Material  # the kind of generator, with the budget
    seed: int  # of the generator and of all trainings; all entries have the same draws

    @property
    def iterations(self) -> int:
        """Generator updates of all its methods together."""
        return self.entry.budget * self.material.iterations

    @property
    def place(self) -> Mapping[str, Any]:
        """The case as columns."""
        entry = self.entry
        return {
            "data": self.material.name, "seed": self.seed, "entry": entry.name,
            "family": entry.family, "label": entry.label, "codec": entry.codec,
            "methods": len(entry.steps), "iterations": self.iterations if entry.steps else 0,
        }  # fmt: skip

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the result depends on, without labels."""
        return {
            "codec": self.entry.codec, "steps": [dict(step) for step in self.entry.steps],
            "base": base_settings(self.material), "rate": self.material.rate,
            "iterations": self.iterations, "samples": self.material.samples, "seed": self.seed,
        }  # fmt: skip

    @property
    def work_s(self) -> float:
        """Roughly how many processor seconds it takes."""
        # updates of a larger budget train no critic, which would take most of the time
        training = self.material.iterations * self.material.update_s if self.entry.steps else 0.0
        first = self.material.base_iterations * self.material.update_s
        return self.material.measure_s + training + (first if self.entry.name == REFERENCE else 0)

    def measure(self, folder: Path) -> dict[str, Any]:
        """Compress the trained generator and measure what its receiver decodes."""
        bench, entry, material = _bench(self.material), self.entry, self.material
        base = _base(self.material, self.seed, folder.parent)
        gan, methods = base.gan, entry.methods()
        compressed, train_cpu_s = base.compressed(self)
        receiver = received_form(gan.generator, methods)
        arrays = network_arrays(compressed)
        started = time.process_time()
        payload = encode_payload(arrays, codec=entry.codec, self_contained=receiver is None)
        encode_cpu_s = time.process_time() - started
        receiver = deepcopy(compressed) if receiver is None else receiver
        template = Template.of(network_arrays(receiver))
        started = time.process_time()
        decoded = decode_payload(payload, template=template)
        decode_cpu_s = time.process_time() - started
        load_network_arrays(receiver, decoded)
        sampler = bench.sampler
        x_NTC = sampler(receiver)
        measured = score_compressed(
            receiver, gan.generator, judge=bench.judge, x_NTC=x_NTC,
            teacher_NTC=sampler(gan.generator),
            y_N=sampler.y_N if material.gan.conditional else None,
            dense_bytes=Template.of(network_arrays(gan.generator)).nbytes,
            payload_bytes=len(payload), seed=0, images=material.kind == "image",
        )  # fmt: skip
        keep_samples(folder, x_NTC[:SHOWN])
        costs = {
            "train_cpu_s": train_cpu_s if methods else 0.0,
            "encode_cpu_s": encode_cpu_s,
            "decode_cpu_s": decode_cpu_s,
        }
        real = {"real": bench.real_scores()} if entry.name == REFERENCE else {}
        return measured | costs | real


@dataclass(frozen=True)
class _Bench:
    """A kind of generator, with the data and the judge that its cases share."""

    material: Material
    dataset: Dataset
    judge: SampleJudge
    sampler: Sampler

    def real_scores(self) -> dict[str, float]:
        """Return the scores of real samples in place of generated ones."""
        x_NTC = self.dataset.train.x_NTC[: self.material.samples]
        scores = self.judge.full_score(x_NTC, None, 0)
        if self.material.kind == "image":
            scores["laplacian_variance"] = laplacian_variance(x_NTC)
        return {name: value for name, value in scores.items() if not np.isnan(value)}


@lru_cache(maxsize=3)
def _bench(material: Material) -> _Bench:
    dataset = load_data(material)
    judge = make_judge(material, dataset)
    return _Bench(material, dataset, judge, Sampler(material, dataset.num_classes))


@dataclass(frozen=True)
class _Base:
    """A trained generator and its compressed forms, which cases with other codecs share."""

    gan: TrainedGan
    trained: dict[str, tuple[SampleGenerator, float]] = field(default_factory=dict)

    def compressed(self, case: Case) -> tuple[SampleGenerator, float]:
        """Return the generator that a case codes, and its processor seconds of training."""
        key = json.dumps([[dict(step) for step in case.entry.steps], case.iterations])
        if key not in self.trained:
            started = time.process_time()
            made = compress(
                self.gan, case.entry.methods(), iterations=case.iterations, seed=case.seed
            )
            self.trained[key] = made, time.process_time() - started
        return self.trained[key]


@lru_cache(maxsize=1)
def _base(material: Material, seed: int, folder: Path) -> _Base:
    return _Base(trained_gan(material, _bench(material).dataset, seed, folder))


def compress(
    gan: TrainedGan,
    methods: Sequence[Method],
    *,
    iterations: int,
    seed: int,
) -> SampleGenerator:
    """Apply methods one after another, each from the same critic; they share the budget equally."""
    rng = torch.Generator().manual_seed(derive_seed(seed, "families: compression"))
    shares = np.diff(np.linspace(0, iterations, len(methods) + 1).round().astype(int))
    generator = deepcopy(gan.generator)
    for method, share in zip(methods, shares, strict=True):
        own = replace(gan, generator=generator)
        generator = method.compress(own, iterations=int(share), rng=rng)
    return generator


def received_form(generator: SampleGenerator, methods: Sequence[Method]) -> SampleGenerator | None:
    """Return the generator that a receiver builds beforehand, None if its form is unknown."""
    form = deepcopy(generator)
    try:
        for method in methods:
            form = method.student(form)
    except ConfigError:  # the form depends on the training and is in the payload
        return None
    return form
