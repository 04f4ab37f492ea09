"""Runs the cells one after another; a finished one is kept, a failed one does not end the rest."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tqdm import tqdm

from experiments.benchmarks.families.bases import base_folder, trained_gan
from experiments.benchmarks.families.cell import (
    Trained,
    cell_path,
    cell_settings,
    keep_cell,
    read_cell,
    run_cell,
)
from experiments.benchmarks.families.entries import Entry
from experiments.benchmarks.families.material import Material, Sampler, load_data, make_judge
from experiments.benchmarks.families.reference import keep_real
from experiments.study_loop import short_reason
from flwr_gan.data.dataset import Dataset
from flwr_gan.gan import torch_threads
from flwr_gan.metrics import SampleJudge


@dataclass(frozen=True)
class Plan:
    """All cells: every entry on every kind of generator, for every seed.

    Parameters
    ----------
    entries : sequence of Entry
        What is compared.
    materials : sequence of Material
        On what.
    seeds : sequence of int
        How often; each seed has a trained generator of its own.
    """

    entries: Sequence[Entry]
    materials: Sequence[Material]
    seeds: Sequence[int]

    def cells(self) -> Iterator[tuple[int, Material, Entry]]:
        """Yield the cells, seed after seed, so that what is finished early is complete."""
        for seed in self.seeds:
            for material in self.materials:
                for entry in self.entries:
                    yield seed, material, entry

    def __len__(self) -> int:
        return len(self.seeds) * len(self.materials) * len(self.entries)


class _Bench:
    """A kind of generator with what all its cells share, made when it is first needed."""

    def __init__(self, material: Material, folder: Path) -> None:
        self.material = material
        self.folder = folder

    @cached_property
    def dataset(self) -> Dataset:
        return load_data(self.material)

    @cached_property
    def judge(self) -> SampleJudge:
        judge = make_judge(self.material, self.dataset)
        keep_real(self.folder, self.material, self.dataset, judge)
        return judge

    @cached_property
    def sampler(self) -> Sampler:
        return Sampler(self.material, self.dataset.num_classes)


def run_plan(plan: Plan, folder: Path) -> int:
    """Run what is not finished; return the number of cells that failed.

    Parameters
    ----------
    plan : Plan
        What to run.
    folder : Path
        Trained generators and finished cells.

    Raises
    ------
    ConfigError
        When the folder holds results of other settings.
    """
    left = [cell for cell in plan.cells() if read_cell(folder, cell[2], cell[1], cell[0]) is None]
    if len(left) < len(plan):
        print(f"{len(plan) - len(left)} of {len(plan)} cells are finished already", flush=True)
    benches = {material.name: _Bench(material, folder) for material in plan.materials}
    failed, done = 0, 0.0
    works = {_key(cell): work(*cell[1:]) for cell in left}
    works |= {key: s + works.get(key, 0) for key, s in _trainings(left, folder).items()}
    total, started = sum(works.values()), time.monotonic()
    gan, gan_key = None, None
    trained: dict[str, Trained] = {}
    with (
        torch_threads(1),
        tqdm(total=len(left), desc="cells", unit="cell", disable=None) as bar,
    ):
        for number, cell in enumerate(left, start=1):
            seed, material, entry = cell
            began, bench = time.monotonic(), benches[material.name]
            try:
                if gan is None or gan_key != (seed, material.name):
                    gan = trained_gan(material, bench.dataset, seed, folder)
                    gan_key, trained = (seed, material.name), {}
                row, x_NTC = run_cell(
                    entry, material, gan, seed=seed, judge=bench.judge, sampler=bench.sampler,
                    trained=trained,
                )  # fmt: skip
                path = cell_path(folder, entry, material, seed)
                keep_cell(path, cell_settings(entry, material), row, x_NTC)
                told = f"{row['payload_bytes']:,} bytes, Fréchet {row['frechet_distance']:.3g}"
            except Exception as error:  # one cell must not take the others with it
                failed += 1
                told = f"failed: {short_reason(error)}"
            done += works[_key(cell)]
            minutes = (time.monotonic() - started) / done * (total - done) / 60
            spent = time.monotonic() - began
            bar.update()
            bar.write(
                f"{number}/{len(left)} {material.name} seed {seed} {entry.name}: {told}; "
                f"{spent:.1f} s; about {minutes:.0f} min left"
            )
    return failed


def work(material: Material, entry: Entry) -> float:
    """Return roughly how many seconds a cell takes."""
    training = material.iterations * material.update_s if entry.steps else 0.0
    # an update of a larger budget is one without a critic, which takes most of the time
    return material.measure_s + training


Cell = tuple[int, Material, Entry]
Key = tuple[int, str, str]


def _key(cell: Cell) -> Key:
    return cell[0], cell[1].name, cell[2].name


def _trainings(left: Sequence[Cell], folder: Path) -> dict[Key, float]:
    """Return the seconds of the first trainings that are still to do, by the cell that waits."""
    waiting: dict[tuple[int, str], tuple[Key, float]] = {}
    for cell in left:
        seed, material, _ = cell
        if not (base_folder(folder, material, seed) / "training.json").exists():
            seconds = material.base_iterations * material.update_s
            waiting.setdefault((seed, material.name), (_key(cell), seconds))
    return dict(waiting.values())
