"""One training, saved on disk: a GAN with checkpoints, or a student of the teacher."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.papers.gan_distillation.setting import LATENT_DIM
from flwr_gan.core.atomic import write_text
from flwr_gan.core.tree import read_arrays, read_tree, write_arrays, write_tree
from flwr_gan.gan import WganGpTrainer
from flwr_gan.gan.dcgan import DepthGenerator, ImageCritic, build_depth_networks
from flwr_gan.gan.weights import load_network_arrays, network_arrays
from flwr_gan.methods.base import Budget, TrainedGan
from flwr_gan.methods.distillation import distil, start_student
from flwr_gan.methods.two_critics import StudentCritic, TwoCriticDistillation
from flwr_gan.seeding import derive_seed

if TYPE_CHECKING:
    from experiments.papers.gan_distillation.cases import Case

NETWORK = "network.npz"
CHECKPOINT = "checkpoint.npz"
TRAINING = "training.json"
PART = 50
"""Generator updates between two checkpoints."""

Arrays = dict[str, NDArray[Any]]


def is_trained(place: Path) -> bool:
    """Return whether a trained network is in a folder."""
    return (place / TRAINING).exists()


def training_seconds(place: Path) -> float:
    """Return the processor seconds of a finished training."""
    return float(json.loads((place / TRAINING).read_text(encoding="utf-8"))["cpu_s"])


def relevant_settings(case: "Case") -> dict[str, Any]:
    """Return all settings that the training of a case depends on."""
    settings = case.hyperparameters
    how: dict[str, Any] = {"batch_size": settings.batch_size}
    if case.is_student:
        how |= {"losses": case.losses, "learning_rate": settings.rate(case.depth)}
        how |= {"teacher": relevant_settings(case.teacher)}
    if case.role == "game" or not case.is_student:
        gan = asdict(settings.gan(case.depth))
        how |= {name: gan[name] for name in ("critic_iterations", "generator_lr", "penalty")}
        how |= {"betas": list(gan["betas"]), "num_samples": settings.num_samples}
    return {**case.place, "iterations": case.iterations} | how


def networks(case: "Case") -> tuple[DepthGenerator, ImageCritic]:
    """Return the generator and the critic with their initial weights."""
    seed = derive_seed(case.seed, "distillation study")
    return build_depth_networks(case.depth, latent_dim=LATENT_DIM, seed=seed)


def load_network(case: "Case", place: Path) -> tuple[DepthGenerator, ImageCritic]:
    """Return a trained generator, and its critic with the saved weights."""
    generator, critic = networks(case)
    arrays = read_arrays(place / NETWORK)
    load_network_arrays(generator, _part(arrays, "generator"))
    if own := _part(arrays, "critic"):
        load_network_arrays(critic, own)
    return generator, critic


def train_gan(
    case: "Case", x_NTC: NDArray[np.float32], place: Path, *, device: str,
    on_part: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    """Train a GAN or resume it, bit for bit; ``on_part`` is called after each checkpoint."""
    generator, critic = networks(case)
    config = case.hyperparameters.gan(case.depth)
    trainer = WganGpTrainer(generator, critic, config=config, device=device)
    rng, done, cpu_s, log = _rng(case), 0, 0.0, None
    if (place / CHECKPOINT).exists():
        state = read_tree(place / CHECKPOINT)
        load_network_arrays(generator, state["generator"])
        trainer.load_state_dict(state["trainer"])
        rng.set_state(torch.from_numpy(state["rng"]))
        done, cpu_s = state["done"], state["cpu_s"]
    y_N = np.zeros(len(x_NTC), dtype=np.int64)
    while done < case.iterations:
        part, start = min(PART, case.iterations - done), time.process_time()
        log = trainer.train(x_NTC, y_N, iterations=part, rng=rng)
        done, cpu_s = done + part, cpu_s + time.process_time() - start
        state = {"rng": rng.get_state(), "done": done, "cpu_s": cpu_s}
        state |= {"generator": network_arrays(generator), "trainer": trainer.state_dict()}
        write_tree(place / CHECKPOINT, state)
        on_part()
    described = {"cpu_s": cpu_s}
    if log is not None:
        described |= {"wasserstein_estimate": log.wasserstein_estimate}
        described |= {"gradient_penalty": log.gradient_penalty}
    critic_arrays = _named("critic", network_arrays(critic))
    _keep(place, _named("generator", network_arrays(generator)) | critic_arrays, described)
    (place / CHECKPOINT).unlink(missing_ok=True)


def train_student(case: "Case", x_NTC: NDArray[np.float32], place: Path, *, device: str) -> None:
    """Train and save a student of the teacher, whose folder is beside ``place``.

    Only the student with a critic of its own sees the real images.
    """
    settings, rng = case.hyperparameters, _rng(case)
    teacher, critic = load_network(case.teacher, place.parent / case.teacher.name)
    student, own_critic = networks(case)
    start = time.process_time()
    if case.role != "mse_drawn":
        start_student(student, teacher, rng)
    for network in (student, teacher, critic, own_critic):
        network.to(device)
    y_N = np.zeros(len(x_NTC), dtype=np.int64)
    if case.role == "game":
        gan = TrainedGan(
            generator=teacher, critic=critic, x_NTC=x_NTC, y_N=y_N, config=settings.gan(case.depth)
        )
        method = TwoCriticDistillation(
            losses=case.losses, balanced=True, critic_losses={"adversarial": 1.0}
        )
        rival = StudentCritic(
            own_critic, critic, losses=method.critic_losses, config=gan.config, seed=case.seed
        )
        method.play(student, rival, gan, Budget(iterations=case.iterations, rng=rng))
    else:
        distil(
            student, teacher=teacher, critic=critic, labels_N=y_N, losses=case.losses,
            balanced=True, iterations=case.iterations, batch_size=settings.batch_size,
            learning_rate=settings.rate(case.depth), rng=rng,
        )  # fmt: skip
    cpu_s = time.process_time() - start
    _keep(place, _named("generator", network_arrays(student)), {"cpu_s": cpu_s})


def _keep(place: Path, arrays: Arrays, described: dict[str, float]) -> None:
    """Write a trained network; its description is written last, so it marks the end."""
    write_arrays(place / NETWORK, arrays)
    write_text(place / TRAINING, json.dumps(described, indent=2) + "\n")


def _rng(case: "Case") -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(case.seed, f"distillation study {case.role}"))


def _named(part: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    return {f"{part}/{name}": array for name, array in arrays.items()}


def _part(arrays: Arrays, part: str) -> Arrays:
    start = f"{part}/"
    return {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}
