"""A SuperLink and SuperNodes as real processes on this machine, each in its own folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.deployment.keys import make_certificates, make_node_key
from experiments.deployment.relay import Relay, relay
from flwr_gan.errors import TrainingError

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "127.0.0.1"
CONNECTION = "here"  # the name of the SuperLink in Flower's config file
_STARTED_S = 60.0


@dataclass
class Machine:
    """A process in the role of a machine: a SuperLink or a SuperNode, with its children."""

    name: str
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def log(self) -> str:
        """The output so far."""
        return (self.folder / "log").read_text(errors="replace")

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        """Send a signal to the process and all that it has started; wait for their end."""
        _signal(self.process.pid, signal_number)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            _signal(self.process.pid, signal.SIGKILL)
            self.process.wait()
        _signal(self.process.pid, signal.SIGKILL)  # remaining children


class Machines:
    """The machines of a federation, on loopback; all are stopped at the end of the block.

    With `tls`, temporary certificates are made; with `authentication`, each node has a key that is
    registered before it starts. `prefix` precedes each command of a node, such as
    ``ip netns exec NAME``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tls: bool = True,
        authentication: bool = True,
        host: str = ADDRESS,
        database: bool = False,
    ) -> None:
        self.folder = folder.absolute()
        self.tls = tls
        self.authentication = authentication
        self.bound = host  # 0.0.0.0: all addresses of this machine
        self.host = ADDRESS if host == "0.0.0.0" else host
        self.port = free_port()
        self.database = database
        self.nodes: dict[str, Machine] = {}
        self.superlink: Machine | None = None
        self.keys = self.folder / "keys"
        self._relays = ExitStack()

    def __enter__(self) -> "Machines":
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _end)  # so that the block ends, and all processes with it
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.tls:
            make_certificates(self.keys)
        self._write_connection()
        try:
            self.start_superlink()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_superlink(self) -> Machine:
        """Start the SuperLink, and wait until it answers."""
        command = ["flower-superlink", "--host", self.bound, "--port", str(self.port)]
        command += ["--disable-runtime-dependency-installation"]
        if self.tls:
            pairs = {"certfile": "server.pem", "keyfile": "server.key", "ca-certfile": "ca.pem"}
            for option, name in pairs.items():
                command += [f"--ssl-{option}", str(self.keys / name)]
        else:
            command += ["--insecure"]
        if self.authentication:
            command += ["--enable-supernode-auth"]
        if self.database:
            command += ["--database", str(self.folder / "superlink.db")]
        self.superlink = self._start("superlink", command)
        deadline = time.monotonic() + _STARTED_S
        while not _answers(self.host, self.port):
            if self.superlink.process.poll() is not None or time.monotonic() > deadline:
                raise TrainingError(f"the SuperLink did not start: {_tail(self.superlink.log)}")
            time.sleep(0.1)
        return self.superlink

    def start_node(
        self,
        name: str,
        node_config: str,
        *,
        address: str | None = None,
        prefix: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Machine:
        """Start a SuperNode that connects to the SuperLink, at another address if one is given.

        With authentication, its key is named after the node or `key`; it is made and registered if
        it is missing.
        """
        command = [
            *prefix,
            "flower-supernode",
            "--superlink",
            address or f"{self.host}:{self.port}",
        ]
        command += ["--port", str(free_port()), "--node-config", node_config]
        command += (
            ["--root-certificates", str(self.keys / "ca.pem")] if self.tls else ["--insecure"]
        )
        if self.authentication:
            own = self.keys / f"{key or name}.key"
            if not own.exists():
                make_node_key(self.keys, key or name)
                self.flwr("supernode", "register", f"{own}.pub", CONNECTION)
            command += ["--auth-supernode-private-key", str(own)]
        self.nodes[name] = self._start(name, command, environment or {})
        return self.nodes[name]

    def start_nodes(self, count: int) -> list[Relay]:
        """Start nodes ``node0``, ``node1``, ... with the partitions 0, 1, ..., each behind a relay.

        Without TLS the relays distinguish kinds of requests. They end with the machines.
        """
        relays = []
        for at in range(count):
            own = relay(self.host, self.port, reads=not self.tls)
            relays.append(self._relays.enter_context(own))
            address = f"{ADDRESS}:{relays[-1].port}"
            self.start_node(
                f"node{at}", f"partition-id={at} num-partitions={count}", address=address
            )
        return relays

    def submit(self, app: Path, run_config: Mapping[str, str | float]) -> str:
        """Submit a Flower app; return the id of the run."""
        given = " ".join(f"{key}={json.dumps(value)}" for key, value in run_config.items())
        arguments = ["--run-config", given] if given else []
        said = self.flwr("run", str(app), CONNECTION, "--format", "json", *arguments)
        answer = json.loads(said[said.index("{") :])
        if not answer.get("run-id"):  # flwr exits with 0 even then
            raise TrainingError(f"flwr run: {answer.get('error-message', _tail(said))}")
        return str(answer["run-id"])

    def lines(self, run_id: str) -> Iterator[str]:
        """Yield the output lines of a run's server app as they come, until the run has ended."""
        command = [_tool("flwr"), "log", run_id, CONNECTION, "--stream"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self._environment(),
            text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            yield from (line.rstrip("\n") for line in process.stdout)

    def status(self, run_id: str) -> str:
        """Return the status of a run, such as ``finished:completed``."""
        said = self.flwr("list", CONNECTION, "--run-id", run_id, "--format", "json")
        (found,) = json.loads(said[said.index("{") :])["runs"]
        return str(found["status"])

    def wait(self, run_id: str, *, timeout_s: float) -> str:
        """Wait for the end of a run; return its status."""
        deadline = time.monotonic() + timeout_s
        while not (found := self.status(run_id)).startswith("finished"):
            if time.monotonic() > deadline:
                raise TrainingError(f"run {run_id} is still {found} after {timeout_s:g} s")
            time.sleep(5)  # each query takes a second of a core
        return found

    def flwr(self, *arguments: str) -> str:
        """Run Flower's command line; return its output, or raise ``TrainingError``."""
        done = subprocess.run(
            [_tool("flwr"), *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise TrainingError(f"flwr {arguments[0]}: {_tail(done.stdout + done.stderr)}")
        return done.stdout

    def stop(self) -> None:
        """Stop all processes."""
        for node in self.nodes.values():
            node.stop()
        if self.superlink is not None:
            self.superlink.stop()
        self._relays.close()

    def _write_connection(self) -> None:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        secure = f'root-certificates = "{self.keys / "ca.pem"}"' if self.tls else "insecure = true"
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "{CONNECTION}"\n[superlink.{CONNECTION}]\n'
            f'address = "{self.host}:{self.port}"\n{secure}\n'
        )

    def _start(
        self, name: str, command: list[str], environment: Mapping[str, str] | None = None
    ) -> Machine:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        own = {"FLWR_HOME": str(folder / "home"), **(environment or {})}
        at = next(i for i, word in enumerate(command) if word.startswith("flower-"))
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*command[:at], _tool(command[at]), *command[at + 1 :]],
                cwd=folder,
                env=self._environment() | own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Machine(name, process, folder)

    def _environment(self) -> dict[str, str]:
        places = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        bin_folder = str(Path(sys.executable).parent)
        return os.environ | {
            "FLWR_HOME": str(self.folder / "home"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            "PATH": os.pathsep.join([bin_folder, os.environ.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join(filter(None, places)),
        }


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as found:
        found.bind((ADDRESS, 0))
        return int(found.getsockname()[1])


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _tail(text: str) -> str:
    lines: list[Any] = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
