"""A server that is killed, cut off or out of space, as real processes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.deployment.crashes import complete_ledger, crash
from experiments.deployment.equal import compared
from experiments.deployment.machines import ROOT, Machines
from experiments.deployment.namespaces import namespace, why_not
from tests.deployment.watched import SLOW_S, TINY, Followed, kill, rounds, until

pytestmark = pytest.mark.soak

SETTINGS = f"{TINY} federation.num_clients=2 federation.rounds=3"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the same run in one process, which nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    command = [sys.executable, "-m", "flwr_gan.cli", "--app", "flwr_gan", "--backend", "inline"]
    given = f"{SETTINGS} output_dir={folder}"
    subprocess.run([*command, "--run-config", given], cwd=ROOT, check=True, timeout=SLOW_S)
    return folder


def start_two(machines: Machines) -> None:
    """Start two nodes, each with a folder of its own: none of them sees that of the server."""
    for partition in (0, 1):
        machines.start_node(f"node{partition}", f'partition-id={partition} state-dir="state"')


def assert_equal(folder: Path, whole: Path) -> None:
    table = compared(folder, whole)
    assert table["different"].sum() == 0, table
    assert complete_ledger(folder)


class Instant:
    """A moment at which a server app is killed."""

    def __init__(self, nodes: Machines, folder: Path, run: Followed) -> None:
        self.nodes, self.folder, self.run = nodes, folder, run

    def started(self) -> bool:
        """Tell whether the server app has taken its task; before that, Flower starts another.

        Nodes finish what a killed server app has sent them, so that what is waited for may be there
        before.
        """
        return f"of run {self.run.run_id}" in self.nodes.superlink.log

    def kept(self, server_round: int) -> int:
        """Return how many nodes have kept their state of a round."""
        found = self.nodes.folder.glob(f"node*/state/**/round-{server_round:05d}.npz")
        return len(list(found))

    def booked(self) -> int:
        """Return how many rounds are in the table."""
        return len(rounds(self.folder)) if (self.folder / "rounds.csv").exists() else 0


INSTANTS: dict[str, Callable[[Instant], object]] = {
    "it starts": lambda at: at.started(),
    "it asks the nodes": lambda at: "results: " in at.run.said,
    "its settings are written": lambda at: (at.folder / "config.yaml").exists(),
    "one client has trained": lambda at: at.kept(1) >= 1,
    "both clients have trained": lambda at: at.kept(1) == 2,
    "the first checkpoint is there": lambda at: (at.folder / "checkpoint/server.npz").exists(),
    "one client has trained twice": lambda at: at.kept(2) >= 1,
    "round 2 is in the tables": lambda at: at.booked() >= 2,
    "both clients have trained three times": lambda at: at.kept(3) == 2,
    "the last generator is saved": lambda at: (at.folder / "generators/global.fgan").exists(),
}


def test_a_server_app_that_is_killed_at_ten_instants(nodes: Machines, whole: Path):
    """One run, killed ten times: no finished round is lost, and the end is bit-equal."""
    start_two(nodes)
    folder = nodes.superlink.folder / "killed"  # relative to it, as a run of another machine's
    runs = []
    for name, reached in INSTANTS.items():
        given = "resume=killed" if (folder / "config.yaml").exists() else ""
        run = Followed(nodes, given or f"{SETTINGS} output_dir=killed")
        runs.append(run)
        instant = Instant(nodes, folder, run)
        before = instant.booked()
        until(lambda at=instant, now=reached: (at.started() and now(at)) or at.run.ended, what=name)
        assert not run.ended, f"{name}: {run.said}"
        finished = instant.booked()
        kill(nodes.superlink, "flwr-serverapp")
        assert instant.booked() >= finished >= before, name
        assert not (folder / "summary.json").exists(), name
    last = Followed(nodes, "resume=killed")
    assert last.end() == "finished:completed", last.said
    assert_equal(folder, whole)
    assert [run.end() for run in runs] == ["finished:failed"] * len(INSTANTS)


def test_a_disk_that_is_full(nodes: Machines, whole: Path, tmp_path: Path):
    """The run ends and says so; with room again it resumes to the same end."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk needs the right to mount one")
    try:
        start_two(nodes)
        folder = disk / "run"
        run = Followed(nodes, f"{SETTINGS} output_dir={folder}")
        run.wait_for("round   1/3")
        with (disk / "ballast").open("wb", buffering=0) as ballast:
            fill(ballast)
        assert run.end() == "finished:failed"
        assert "No space left on device" in run.said
        (disk / "ballast").unlink()
        assert len(rounds(folder)) >= 1
        again = Followed(nodes, f"resume={folder}")
        assert again.end() == "finished:completed", again.said
        assert_equal(folder, whole)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(file) -> None:
    """Write until there is no room."""
    block = bytes(2**16)
    while len(block) > 16:
        try:
            file.write(block)
        except OSError:
            block = block[: len(block) // 2]


def test_a_superlink_that_is_killed(whole: Path, tmp_path: Path):
    """On its database it starts again and the nodes come back; the run is resumed."""
    with Machines(
        tmp_path / "machines", tls=False, authentication=False, database=True
    ) as machines:
        start_two(machines)
        folder = tmp_path / "run"
        run = Followed(machines, f"{SETTINGS} output_dir={folder}")
        run.wait_for("round   1/3")
        crash(machines.superlink)
        until(lambda: run.ended, what="the end of the stream")
        machines.start_superlink()
        assert machines.wait(run.run_id, timeout_s=SLOW_S) == "finished:failed"
        again = Followed(machines, f"resume={folder}")
        assert again.end() == "finished:completed", again.said
        assert_equal(folder, whole)


def test_a_network_that_is_cut_for_30_s(whole: Path, tmp_path: Path):
    """What the node sends is sent again when the network is back: nothing is lost."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with (
        namespace("cut", 0, mbit_s=1000) as (here, inside),
        Machines(tmp_path / "machines", tls=False, authentication=False, host=here) as machines,
    ):
        machines.start_node("node0", 'partition-id=0 state-dir="state"')
        machines.start_node("node1", 'partition-id=1 state-dir="state"', prefix=inside)
        folder = tmp_path / "run"
        run = Followed(machines, f"{SETTINGS} output_dir={folder}")
        until(lambda: "ROUND 1" in machines.nodes["node1"].log, what="round 1 at node1")
        subprocess.run([*inside, "ip", "link", "set", "up0", "down"], check=True)
        with pytest.raises(AssertionError, match="after 30 s"):
            until(lambda: run.ended or "round   1/3" in run.said, what="", timeout_s=30)
        subprocess.run([*inside, "ip", "link", "set", "up0", "up"], check=True)
        assert run.end() == "finished:completed", run.said
        assert_equal(folder, whole)
