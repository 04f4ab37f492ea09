"""Run Flower's SuperLink and SuperNodes on this machine, and compare with the inline run."""

import argparse
import logging
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from experiments.deployment.command import STOPPED, require_empty
from experiments.deployment.equal import compared
from experiments.deployment.machines import ROOT, Machines
from experiments.deployment.relay import Relay
from experiments.study.options import run_command
from experiments.study.results import write_table
from flwr_gan.errors import TrainingError

FOREIGN = Path(__file__).with_name("foreign")
SMALL = "codec=sparse:int8 gan.local_iterations=20 gan.iterations=20 lottery.iterations=2"
JOBS = {
    "fedavg": f"strategy=fedavg federation.rounds=3 {SMALL}",
    "federated_ticket": f"strategy=federated_ticket strategy.rounds_per_level=1 {SMALL}",
    "classifier": "experiment=classifier federation.rounds=3",
    "generator_pool": f"strategy=generator_pool {SMALL}",
    "foreign": "",
}
HIDDEN = ("\x1b[", "Using SuperLink", "Successfully installed")  # Flower's own lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status, 1 if a run differs from the inline run."""
    options = _parser().parse_args(arguments)
    folder = (
        options.output or Path(f"runs/deployment_{datetime.now():%Y-%m-%d_%H%M%S}")
    ).absolute()
    logging.getLogger("flwr").setLevel(logging.ERROR)

    def work() -> int:
        require_empty(folder, "--output")
        table = run(folder, options)
        write_table(table, folder / "equal.csv")
        print(table.to_string(index=False))
        return int(table["different"].sum() > 0)

    return run_command("experiments.deployment", work, interrupted=STOPPED)


def run(folder: Path, options: argparse.Namespace) -> pd.DataFrame:
    """Run the jobs on real processes, then inline; return the comparison."""
    secure = not options.insecure
    begun = time.monotonic()
    print(f"starting a SuperLink and {options.nodes} SuperNodes; all files are in {folder}")
    with Machines(folder, tls=secure, authentication=secure) as machines:
        relays = machines.start_nodes(options.nodes)
        for name in options.jobs:
            print(f"\n{name} on real nodes, {time.monotonic() - begun:.0f} s so far")
            app, config = _job(name, options, folder / name)
            before = _passed(relays)
            run_id = machines.submit(app, config)
            for line in machines.lines(run_id):
                if line.strip() and not line.startswith(HIDDEN):
                    print(f"  {line}")
            if (status := machines.status(run_id)) != "finished:completed":
                raise TrainingError(f"{name} ended as {status}: see {folder}/superlink/log")
            print(f"  {_traffic(before, _passed(relays), folder / name)}")
    rows = []
    for name in options.jobs:
        print(f"\n{name} inline, {time.monotonic() - begun:.0f} s so far", flush=True)
        inline = folder / f"{name}_inline"
        app, config = _job(name, options, inline)
        _simulate(app, config, options.nodes)
        rows.append(compared(folder / name, inline).assign(job=name))
    print(f"\n{time.monotonic() - begun:.0f} s in all\n")
    return pd.concat(rows)[["job", "result", "values", "different"]]


def _passed(relays: Sequence[Relay]) -> tuple[int, int]:
    """Return the bytes that all nodes have sent and received so far."""
    return sum(one.total[0] for one in relays), sum(one.total[1] for one in relays)


def _traffic(before: tuple[int, int], after: tuple[int, int], run: Path) -> str:
    """Return the traffic on the nodes' sockets, and the ledger's bytes."""
    ledger = pd.read_csv(run / "messages.csv").groupby("direction")["message_bytes"].sum()
    said = [
        f"{way} {(after[at] - before[at]) / 1000:,.1f} kB (ledger {ledger.get(way, 0) / 1000:,.1f})"
        for at, way in enumerate(("up", "down"))
    ]
    return f"on the nodes' sockets: {', '.join(said)}"


def _job(name: str, options: argparse.Namespace, output: Path) -> tuple[Path, dict[str, str]]:
    if name == "foreign":
        return FOREIGN, {"results": str(output)}
    clients = f"federation.num_clients={options.nodes}"
    overrides = f"{JOBS[name]} {clients} {options.run_config} output_dir={output}"
    return ROOT, {"overrides": " ".join(overrides.split())}


def _simulate(app: Path, config: Mapping[str, str], nodes: int) -> None:
    given = config.get("overrides") or " ".join(f'{k}="{v}"' for k, v in config.items())
    command = [sys.executable, "-m", "flwr_gan.cli", "--backend", "inline"]
    command += ["--app", "flwr_gan" if app == ROOT else str(app)]
    command += ["--num-supernodes", str(nodes), "--run-config", given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TrainingError(f"the inline run failed: {done.stderr.strip().splitlines()[-1]}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments.deployment", description=__doc__)
    parser.add_argument("--nodes", type=int, default=3, help="SuperNodes, 3 by default")
    parser.add_argument(
        "--jobs",
        nargs="+",
        choices=list(JOBS),
        default=list(JOBS),
        help="what to run: strategies of the app, and a Flower app of 60 lines with CompressedGrid",
    )
    parser.add_argument(
        "--run-config", default="", metavar="'K=V K=V'", help="further Hydra overrides of the app"
    )
    parser.add_argument(
        "--insecure", action="store_true", help="without TLS and keys of nodes, which is faster"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="an empty folder for all files")
    return parser


if __name__ == "__main__":
    sys.exit(main())
