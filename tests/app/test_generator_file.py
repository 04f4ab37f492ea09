"""Generators from payload files: what a run leaves is enough, and damaged files are refused."""

import json

import numpy as np
import pytest
import torch

from flwr_gan.app.federation import federation_of
from flwr_gan.app.generator_file import GeneratorInfo, generator_of, load_generator
from flwr_gan.errors import ConfigError, DataError, OutputError, PayloadError
from flwr_gan.gan import Generator, network_arrays, sample
from flwr_gan.methods.factored import Factored
from flwr_gan.wire import load, save

Y = np.arange(10).repeat(2)


def drawn(generator):
    return sample(generator, Y, rng=torch.Generator().manual_seed(5))


def test_what_a_run_leaves_draws_what_the_run_draws(simulate):
    folder = simulate("evaluation=none")
    federation = federation_of((folder / "config.yaml").read_text())
    weights = load(folder / "generators" / "global.fgan")
    assert np.array_equal(drawn(load_generator(folder)), federation.generate(weights, Y, 5))
    info = json.loads((folder / "generators" / "generator.json").read_text())
    latent_dim = federation.config.gan.latent_dim
    assert info == {
        "latent_dim": latent_dim,
        "classes": list("0123456789"),
        "kind": "image",
        "arrays": ["fc.weight", "conv1.weight", "conv2.weight"],
    }
    upload = folder / "generators" / "client-00001.fgan"
    named = dict(zip(weights, load(upload).values(), strict=True))
    assert np.array_equal(drawn(load_generator(upload)), federation.generate(named, Y, 5))


def test_a_student_goes_before_the_global_generator(seeded_run):
    folder = seeded_run()
    student = Generator(8, 8, 10, latent_dim=6, channels=(3, 2), kernel_size=5, seed=9)
    save(folder / "generators" / "student.fgan", network_arrays(student))
    assert np.array_equal(drawn(load_generator(folder)), drawn(student))
    whole = load_generator(folder / "generators" / "global.fgan")
    assert np.array_equal(drawn(whole), drawn(Generator(8, 8, 10, latent_dim=6, channels=(8, 4))))


def test_factored_layers_are_rebuilt(seeded_run):
    path = seeded_run() / "generators" / "client-00000.fgan"
    generator = Generator(8, 8, 10, latent_dim=6, channels=(8, 4), seed=3)
    factored = Factored(rank=3).student(generator)
    assert "fc.down.weight" in network_arrays(factored)
    assert "conv2.weight" not in network_arrays(factored)
    save(path, network_arrays(factored))
    assert np.array_equal(drawn(load_generator(path)), drawn(factored))


def test_an_upload_to_a_pool_has_counts_behind_its_weights(seeded_run):
    folder = seeded_run() / "generators"
    weights = load(folder / "global.fgan").values()
    numbered = {str(n): array for n, array in enumerate([*weights, np.arange(10)])}
    save(folder / "client-00000.fgan", numbered)
    found, expected = (load_generator(folder / f"{n}.fgan") for n in ("client-00000", "global"))
    assert np.array_equal(drawn(found), drawn(expected))


def changed(arrays, **others):
    return {name: array for name, array in {**arrays, **others}.items() if array is not None}


def ones(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("others", "error", "message"),
    [
        ({"conv1.weight": None}, DataError, "array 'conv1.weight' is missing"),
        ({"more": ones(2)}, DataError, "array 'more' is unknown"),
        ({"conv1.weight": ones(4, 8, 2), "conv2.weight": ones(8, 4, 2)}, DataError, "odd k"),
        ({"conv2.weight": ones(8, 5, 3)}, DataError, "(8, 5, 3)"),
        ({"conv1.weight": ones(4, 8)}, DataError, "(4, 8)"),
        ({"conv1.weight": ones(4, 0, 3)}, DataError, "(4, 0, 3)"),
        ({"fc.weight": ones(65, 16)}, DataError, "(65, 16)"),
        ({"fc.weight": ones(64, 17)}, DataError, "takes 17 numbers, and generator.json says 6"),
        ({"fc.weight": ones(64, 16) * np.inf}, DataError, "not finite"),
        ({"fc.weight": np.ones((64, 16), int)}, DataError, "is of int64"),
        # small arrays that would be terabytes of weights
        ({"fc.weight": None, "fc.down.weight": ones(1, 16), "fc.up.weight": ones(10**6, 2)},
         DataError, "two factors of fc"),
        ({"fc.weight": None, "fc.down.weight": ones(1, 16), "fc.up.weight": ones(10**6, 1)},
         PayloadError, "the limit is 1000000"),
        ({"conv1.weight": ones(10**5, 8, 1), "conv2.weight": ones(10**5, 1, 1)}, DataError, "odd"),
    ],
)  # fmt: skip
def test_arrays_of_no_generator_are_refused(others, error, message, seeded_run):
    path = seeded_run() / "generators" / "global.fgan"
    arrays = changed(load(path), **others)
    with pytest.raises(error) as caught:
        generator_of(arrays, path, max_bytes=1_000_000)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("\xff", "no JSON"),
        ("[]", "keys latent_dim, classes, kind, arrays"),
        ('{"latent_dim": 6, "classes": ["0"]}', "keys latent_dim, classes, kind, arrays"),
        ('{"latent_dim": 0, "classes": ["0"], "kind": "image", "arrays": []}', "latent_dim=0"),
        ('{"latent_dim": 6, "classes": [0], "kind": "image", "arrays": []}', "classes=(0,)"),
        ('{"latent_dim": 6, "classes": ["0"], "kind": "sound", "arrays": []}', "image"),
    ],
)
def test_a_damaged_generator_json_is_told(text, message, seeded_run):
    folder = seeded_run() / "generators"
    (folder / "generator.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"generator\.json") as caught:
        GeneratorInfo.beside(folder / "global.fgan")
    assert message in str(caught.value)


def test_what_is_missing_is_named(seeded_run, tmp_path):
    folder = seeded_run()
    with pytest.raises(OutputError, match=r"no generators/student.fgan and no generators/global"):
        load_generator(tmp_path)
    with pytest.raises(ConfigError, match=r"unknown format '.npz'; give a .fgan file"):
        load_generator("weights.npz")
    (folder / "generators" / "generator.json").unlink()
    with pytest.raises(OutputError, match=r"generator.json cannot be read.*copy it from"):
        load_generator(folder)
