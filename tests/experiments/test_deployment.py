"""Real processes: keys, the relay that counts, the comparison of runs, and the whole command."""

import http.client
import socket
import ssl
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pandas as pd
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from experiments.deployment.__main__ import main
from experiments.deployment.equal import compared
from experiments.deployment.keys import make_certificates, make_node_key
from experiments.deployment.machines import ROOT, Machines
from experiments.deployment.relay import relay
from experiments.deployment.socket_bytes import HEARTBEAT, START, Measured, explained
from flwr_gan.data.digits import load_digits


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(2 * len(body)))
        self.end_headers()
        self.wfile.write(2 * body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    found = HTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found.server_port
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.mark.parametrize(("reads", "latency_ms"), [(True, 0), (False, 0), (False, 30)])
def test_a_relay_passes_all_on_and_counts_it(server, reads, latency_ms):
    begun = time.monotonic()
    with relay("127.0.0.1", server, reads=reads, latency_ms=latency_ms) as counts:
        connection = http.client.HTTPConnection("127.0.0.1", counts.port)
        for path, size in (("/v1/fleet/pull", 10), ("/v1/fleet/push", 300_000), ("/x/pull", 0)):
            connection.request("POST", path, b"a" * size)
            assert connection.getresponse().read() == b"a" * 2 * size
        connection.close()
    round_trips = 1 + 3  # to connect, and one for each request
    assert time.monotonic() - begun >= round_trips * 2e-3 * latency_ms
    if reads:
        found = counts.counts
        names = ("requests", "up_body", "down_body")
        assert [found["pull", name] for name in names] == [2, 10, 20]
        assert [found["push", name] for name in names] == [1, 300_000, 600_000]
        assert 50 < found["push", "up_head"] < 300
    up, down = counts.total
    assert 300_010 < up < 301_000
    assert 600_020 < down < 601_000


def test_a_relay_to_nobody_closes_the_connection():
    with (
        relay("127.0.0.1", 1, reads=True) as counts,
        socket.create_connection(("127.0.0.1", counts.port), timeout=10) as connection,
    ):
        assert connection.recv(1) == b""
    assert counts.total == (0, 0)


def test_certificates_are_those_of_an_authority_and_this_machine(tmp_path):
    make_certificates(tmp_path)
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    server = served.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.version() == "TLSv1.3"
    assert (tmp_path / "server.key").stat().st_mode & 0o077 == 0


def test_a_node_key_is_what_flower_registers(tmp_path):
    path = make_node_key(tmp_path, "node0")
    public = serialization.load_ssh_public_key((tmp_path / "node0.key.pub").read_bytes())
    private = serialization.load_ssh_private_key(path.read_bytes(), None)
    assert isinstance(public.curve, ec.SECP384R1)
    assert private.public_key().public_numbers() == public.public_numbers()
    assert path.stat().st_mode & 0o077 == 0


@pytest.fixture
def two_runs(tmp_path):
    for name in ("one", "other"):
        folder = tmp_path / name
        (folder / "generators").mkdir(parents=True)
        table = pd.DataFrame({"round": [1, 2], "bytes": [3, 4], "share": [0.5, np.nan]})
        table.assign(wall_s=len(name)).to_csv(folder / "rounds.csv", index=False)
        (folder / "generators" / "global.fgan").write_bytes(b"abc")
    return tmp_path / "one", tmp_path / "other"


def test_runs_are_equal_but_for_their_times(two_runs):
    found = compared(*two_runs).set_index("result")
    assert found["different"].tolist() == [0, 0]
    assert found["values"].to_dict() == {"rounds.csv": 6, "generators/*.fgan": 1}


@pytest.mark.parametrize("change", ["value", "row", "file", "bytes"])
def test_what_differs_is_counted(two_runs, change):
    other = two_runs[1]
    table = pd.read_csv(other / "rounds.csv")
    if change == "value":
        table.assign(bytes=[3, 5]).to_csv(other / "rounds.csv", index=False)
    if change == "row":
        table[:1].to_csv(other / "rounds.csv", index=False)
    if change == "file":
        (other / "generators" / "global.fgan").unlink()
    if change == "bytes":
        (other / "generators" / "global.fgan").write_bytes(b"abd")
    assert compared(*two_runs)["different"].sum() >= 1


def test_every_byte_on_the_socket_has_a_purpose():
    kinds = ("pull-messages", "push-messages", "pull-object", "push-object", HEARTBEAT, *START)
    each = {"requests": 20, "up_head": 1000, "up_body": 500, "down_head": 200, "down_body": 5000}
    counts = Counter({(kind, name): n for kind in kinds for name, n in each.items()})
    ledger = pd.DataFrame({"direction": ["up", "down"], "message_bytes": [300, 400],
                           "payload_bytes": [200, 350]})  # fmt: skip
    found = (
        explained(Measured(counts, ledger, "seed: 0\n", 1.0)).groupby("direction")["bytes"].sum()
    )
    assert found["up"] == pytest.approx(len(kinds) * 1500, abs=1)
    assert found["down"] == pytest.approx(len(kinds) * 5200, abs=1)


def test_a_folder_in_use_is_refused(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["--output", str(tmp_path)]) == 1
    assert "is not empty: choose another folder" in capsys.readouterr().err


@pytest.mark.slow
def test_real_nodes_with_tls_and_keys_do_what_the_simulation_does(tmp_path, capsys):
    arguments = ["--nodes", "2", "--jobs", "fedavg", "foreign", "--output", str(tmp_path / "run")]
    assert main([*arguments, "--run-config", "federation.rounds=1 gan.local_iterations=2"]) == 0
    said = capsys.readouterr().out
    assert "client 1 is node" in said
    assert "on the nodes' sockets: up" in said
    table = pd.read_csv(tmp_path / "run" / "equal.csv")
    assert set(table["job"]) == {"fedavg", "foreign"}
    assert table["different"].sum() == 0
    assert table.set_index("result").loc["payloads.csv", "values"].min() > 0


@pytest.mark.slow
def test_real_nodes_bring_data_of_their_own(tmp_path):
    train = load_digits().train
    job = (
        "data=remote evaluation=none strategy=fedavg federation.rounds=1 federation.num_clients=2 "
        f"gan.local_iterations=2 output_dir={tmp_path / 'run'}"
    )
    with Machines(tmp_path / "machines", tls=False, authentication=False) as machines:
        for node in (0, 1):
            own, state = tmp_path / f"own{node}.npz", tmp_path / f"node{node}"
            np.savez(own, x=train.x_NTC[node::2], y=train.y_N[node::2])
            config = f'partition-id={node} data.path="{own}" state-dir="{state}"'
            machines.start_node(f"node{node}", config)
        run_id = machines.submit(ROOT, {"overrides": job})
        said = "\n".join(machines.lines(run_id))
        assert machines.status(run_id) == "finished:completed", said
    assert f"{len(train.x_NTC[1::2])} samples of its own" in said
    assert list((tmp_path / "node1/run/checkpoint/clients/00001").iterdir())
    assert pd.read_csv(tmp_path / "run" / "rounds.csv")["clients"].tolist() == [2]
