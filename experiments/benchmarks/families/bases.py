"""The generators that are compressed: each trained once, kept as a file, read by every entry."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from experiments.benchmarks.families.material import (
    Material,
    further_config,
    networks,
    training_labels,
)
from experiments.study.results import write_json
from flwr_gan.data.dataset import Dataset
from flwr_gan.errors import ConfigError
from flwr_gan.gan import WganGpTrainer
from flwr_gan.gan.weights import load_network_arrays, network_arrays
from flwr_gan.methods import TrainedGan
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import load, save


def base_folder(folder: Path, material: Material, seed: int) -> Path:
    """Return where the generator of one kind and seed is kept."""
    return folder / "bases" / f"{material.name}_seed{seed}"


def trained_gan(material: Material, dataset: Dataset, seed: int, folder: Path) -> TrainedGan:
    """Return the trained GAN of a seed, from its files or from training, which is kept then."""
    place = base_folder(folder, material, seed)
    record, settings = place / "training.json", base_settings(material)
    generator, critic = networks(material, dataset, seed)
    parts = (("generator.fgan", generator), ("critic.fgan", critic))
    y_N = training_labels(material, dataset)
    if record.exists():
        if json.loads(record.read_text())["settings"] != settings:
            raise ConfigError(f"{place} was trained with other settings: choose another --folder")
        for name, network in parts:
            load_network_arrays(network, load(place / name))
    else:
        WganGpTrainer(generator, critic, config=material.gan).train(
            dataset.train.x_NTC,
            y_N,
            iterations=material.base_iterations,
            rng=torch.Generator().manual_seed(derive_seed(seed, "families: first training")),
        )
        for name, network in parts:
            save(place / name, network_arrays(network), codec="raw")
        write_json({"settings": settings}, record)
    return TrainedGan(
        generator=generator, critic=critic, x_NTC=dataset.train.x_NTC, y_N=y_N,
        config=further_config(material),
    )  # fmt: skip


def base_settings(material: Material) -> dict[str, Any]:
    """Return what a trained generator depends on besides the seed, as JSON gives it back."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(material.gan)))
    return settings | {"depth": material.depth, "base_iterations": material.base_iterations}
