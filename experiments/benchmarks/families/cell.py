"""One entry on one trained generator: compress, send, decode, measure."""

import json
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.benchmarks.families.bases import base_settings
from experiments.benchmarks.families.entries import Entry
from experiments.benchmarks.families.material import Material, Sampler
from flwr_gan.core.atomic import replacing, write_text
from flwr_gan.errors import ConfigError, OutputError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import load_network_arrays, network_arrays
from flwr_gan.methods import Method, TrainedGan
from flwr_gan.metrics import SampleJudge, score_compressed
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import Template, decode_payload, encode_payload

SHOWN = 20
"""Samples of each cell that are kept for pictures."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A compressed generator before it is coded, and the processor seconds that it took."""

    generator: SampleGenerator
    cpu_s: float


def cell_path(folder: Path, entry: Entry, material: Material, seed: int) -> Path:
    """Return the file of a finished cell."""
    return folder / "cells" / f"{material.name}_seed{seed}" / f"{entry.name}.json"


def read_cell(folder: Path, entry: Entry, material: Material, seed: int) -> dict[str, Any] | None:
    """Return the row of a finished cell, None where it is not finished.

    Raises
    ------
    ConfigError
        When it was measured with other settings.
    OutputError
        When the file cannot be read.
    """
    path = cell_path(folder, entry, material, seed)
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text())
        settings, row = record["settings"], dict(record["row"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} cannot be read: {error}; remove it") from error
    if settings != cell_settings(entry, material):
        raise ConfigError(
            f"{path} was measured with other settings: remove it, or choose another --folder"
        )
    return row


def cell_settings(entry: Entry, material: Material) -> dict[str, Any]:
    """Return what a cell depends on besides the seed, as JSON gives it back; no labels."""
    known = asdict(entry)
    settings = {
        "codec": known["codec"], "steps": known["steps"], "base": base_settings(material),
        "rate": material.rate, "iterations": entry.budget * material.iterations,
        "samples": material.samples,
    }  # fmt: skip
    copied: dict[str, Any] = json.loads(json.dumps(settings))
    return copied


def run_cell(
    entry: Entry,
    material: Material,
    gan: TrainedGan,
    *,
    seed: int,
    judge: SampleJudge,
    sampler: Sampler,
    trained: dict[str, Trained],
    progress: bool = True,
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Compress a generator by an entry and measure what its receiver decodes.

    Parameters
    ----------
    entry : Entry
        What is done.
    material : Material
        The kind of generator, with the budget.
    gan : TrainedGan
        The trained generator; not changed.
    seed : int
        Seed of the training that the entry does; the same draws for all entries.
    judge, sampler
        The same for all entries and seeds.
    trained : dict
        What the entries of this generator have trained so far, by their settings: those that differ
        in the codec alone share it. Changed in place.
    progress : bool
        Whether a bar is drawn, on a terminal.

    Returns
    -------
    dict, ndarray
        The row, and the first samples.
    """
    began = time.process_time()
    methods = entry.methods()
    iterations = entry.budget * material.iterations
    key = json.dumps([entry.steps, iterations])
    if key not in trained:
        told = f"{entry.name} ({material.name}, seed {seed})" if progress else None
        started = time.process_time()
        made = compress(gan, methods, iterations=iterations, seed=seed, progress=told)
        trained[key] = Trained(made, time.process_time() - started)
    compressed, train_cpu_s = trained[key].generator, trained[key].cpu_s
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
    x_NTC = sampler(receiver)
    measured = score_compressed(
        receiver, gan.generator, judge=judge, x_NTC=x_NTC, teacher_NTC=sampler(gan.generator),
        y_N=sampler.y_N if material.labelled else None,
        dense_bytes=Template.of(network_arrays(gan.generator)).nbytes, payload_bytes=len(payload),
        seed=0, images=material.kind == "image",
    )  # fmt: skip
    costs = {
        "train_cpu_s": train_cpu_s if methods else 0.0,
        "encode_cpu_s": encode_cpu_s,
        "decode_cpu_s": decode_cpu_s,
    }
    identity = {
        "data": material.name, "seed": seed, "entry": entry.name, "family": entry.family,
        "label": entry.label, "codec": entry.codec, "methods": len(methods),
        "iterations": iterations if methods else 0,
    }  # fmt: skip
    costs["cell_cpu_s"] = time.process_time() - began
    return identity | measured | costs, x_NTC[:SHOWN]


def compress(
    gan: TrainedGan,
    methods: Sequence[Method],
    *,
    iterations: int,
    seed: int,
    progress: str | None = None,
) -> SampleGenerator:
    """Apply methods one after another, with the training shared out evenly among them.

    Each starts with the critic of the trained GAN.
    """
    rng = torch.Generator().manual_seed(derive_seed(seed, "families: compression"))
    shares = np.diff(np.linspace(0, iterations, len(methods) + 1).round().astype(int))
    generator = deepcopy(gan.generator)
    for method, share in zip(methods, shares, strict=True):
        generator = method.compress(
            replace(gan, generator=generator), iterations=int(share), rng=rng, progress=progress
        )
    return generator


def received_form(generator: SampleGenerator, methods: Sequence[Method]) -> SampleGenerator | None:
    """Return the generator that a receiver builds beforehand, None where the form is unknown."""
    form = deepcopy(generator)
    try:
        for method in methods:
            form = method.student(form)
    except ConfigError:  # the form depends on the training: the payload says what it is
        return None
    return form


def keep_cell(
    path: Path, settings: Mapping[str, Any], row: Mapping[str, Any], x_NTC: NDArray[np.float32]
) -> None:
    """Write samples and then the row, each completely or not at all."""
    with replacing(samples_path(path)) as temporary, temporary.open("wb") as stream:
        np.save(stream, x_NTC, allow_pickle=False)
    write_text(path, json.dumps({"settings": settings, "row": row}, indent=2) + "\n")


def samples_path(path: Path) -> Path:
    """Return where the samples of a cell are kept."""
    return path.with_suffix(".npy")
