"""The benchmark of the engines: its app, and how its table is made."""

import json

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks import engine, engine_tasks


@pytest.fixture
def images(tmp_path):
    """Return a folder of images whose class is their brightest pixel."""
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=200)
    pixels = rng.random((200, 784)).astype(np.float32)
    pixels[np.arange(200), labels] = 5
    np.save(tmp_path / "images.npy", pixels)
    np.save(tmp_path / "labels.npy", labels)
    return tmp_path


@pytest.mark.long
@pytest.mark.parametrize("name", ["inline", "processes"])
@pytest.mark.parametrize("task", engine_tasks.TASKS)
def test_a_task_on_an_engine_gives_its_row(task, name, images):
    row = engine_tasks.measure(name, task, clients=20, rounds=20, data=images)
    assert (row["engine"], row["task"], row["clients"], row["rounds"]) == (name, task, 20, 20)
    assert row["updates_per_s"] > 0
    assert row["updates_per_cpu_s"] > 0
    assert 0 <= row["first_message_s"] < 5
    assert row["growth_mb"] < row["memory_mb"]


def test_twenty_thousand_clients_are_no_burden(images):
    row = engine_tasks.measure("inline", "empty", clients=20_000, rounds=20, data=images)
    assert row["updates_per_s"] > 0


def test_clients_learn(images):
    pixels, labels = np.load(images / "images.npy"), np.load(images / "labels.npy")
    weights = [np.zeros((784, 10), np.float32), np.zeros(10, np.float32)]
    client = engine_tasks.LrClient(pixels, labels)
    for _ in range(3):
        weights, count, _ = client.fit(weights, {})
    assert count == 200
    assert (np.argmax(pixels @ weights[0] + weights[1], axis=1) == labels).mean() > 0.9


def test_a_step_is_the_gradient_of_the_cross_entropy():
    rng = np.random.default_rng(1)
    x, y = rng.random((4, 784)).astype(np.float32), np.array([0, 3, 3, 9])
    weight, bias = rng.normal(size=(784, 10)).astype(np.float32) / 30, np.zeros(10, np.float32)

    def loss(bias_: np.ndarray) -> float:
        score = x @ weight + bias_
        return float(np.mean(np.log(np.exp(score).sum(axis=1)) - score[np.arange(4), y]))

    (_, moved), _, _ = engine_tasks.LrClient(x, y).fit([weight, bias], {})
    numeric = [
        (loss(bias + e) - loss(bias - e)) / 2e-2 for e in 1e-2 * np.eye(10, dtype=np.float32)
    ]
    np.testing.assert_allclose((bias - moved) / engine_tasks.LEARNING_RATE, numeric, atol=1e-3)


def test_every_task_runs_on_all_engines_and_one_with_twenty_thousand_clients():
    cells = engine.cells(short=False)
    for task, rounds in (("empty", 200), ("lr", 100)):
        for name in ("inline", "processes", "ray"):
            assert (name, task, 1000, rounds) in cells
    assert ("inline", "empty", 20_000, 200) in cells


def test_ratios_are_to_ray_with_as_many_clients():
    rows = [
        {"engine": name, "task": "lr", "clients": clients, "rounds": 2, "data": "mnist"}
        | {"updates_per_cpu_s": rate}
        for name, clients, rate in (
            ("inline", 10, 300.0), ("ray", 10, 20.0), ("inline", 10, 100.0),
            ("inline", 99, 50.0), ("inline", 10, 200.0),
        )
    ]  # fmt: skip
    table = engine.summarise(rows)
    assert list(table.updates_per_cpu_s) == [200, 20, 50]
    assert list(table.repeats) == [3, 1, 1]
    assert list(table.ratio[:2]) == [10, 1]
    assert np.isnan(table.ratio[2])


def test_the_command_writes_both_tables(tmp_path, monkeypatch, capsys):
    def cell(what: str, *arguments: str) -> dict[str, object]:
        *_, name, task, clients, rounds, _ = arguments
        assert what == f"{name} {task}"
        return {
            "engine": name, "task": task, "clients": int(clients), "rounds": int(rounds),
            "updates_per_cpu_s": 5.0,
        }  # fmt: skip

    commands = pd.DataFrame([{"command": "sweep", "wall_s": 1.0}])
    monkeypatch.setattr(engine, "row_of_process", cell)
    monkeypatch.setattr(engine, "write_images", lambda folder, *, short: "noise")
    monkeypatch.setattr(engine, "measure_commands", lambda repeats, *, short: commands)
    assert engine.main(["--short", "--output", str(tmp_path / "new" / "table.csv")]) == 0
    table = pd.read_csv(tmp_path / "new" / "table.csv")
    assert {"inline", "processes", "ray"} == set(table.engine)
    assert (table.updates_per_cpu_s == 5).all()
    assert list(pd.read_csv(tmp_path / "new" / "table_commands.csv").command) == ["sweep"]
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("repeat")]
    assert json.loads(rows[0].split(": ", 1)[1])["data"] == "noise"
