#!/usr/bin/env bash
# fluke-fl 0.8.1: SCAFFOLD with global_step, the server's step size, after Karimireddy et al.
#
# Guess: as in the paper, the server moves by global_step times the mean change of its clients: half of the way to their
# mean for 0.5, as with lr=0.5 of FedAvg. Clients that change nothing leave the model as it is.
# Behaviour: the weights of the clients' models are multiplied by global_step, and these are models, not changes: the
# new model is global_step times their mean. With 0.5 every weight is halved in each round, on top of training; with 1.5
# it grows without end. Nothing is logged. The default is 1, at which nothing shows; lr, which moves from the old
# model to the mean, works as guessed.
# Output seen: "a weight of 1 after 3 rounds without change: global_step 0.5 0.125, 1 1.0, 1.5 3.375, lr=0.5 1.0; all clients
# at 2: global_step 0.5 1.0, lr=0.5 1.875" (on one line)
#
# What is used for data, logs and metrics only is replaced by empty names.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check \
  torch==2.13.0 numpy==2.4.6 rich==14.3.4 typer==0.20.1 omegaconf==2.3.1 pyyaml==6.0.3 requests==2.34.2
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps fluke-fl==0.8.1
"$place/venv/bin/python" - <<'PY'
import importlib.abc
import importlib.machinery
import sys
from copy import deepcopy
from types import SimpleNamespace
from unittest.mock import MagicMock


class EmptyNames(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    tops = {"cerberus", "clearml", "datasets", "diskcache", "hydra", "matplotlib", "opacus", "pandas", "psutil", "seaborn",
            "sklearn", "tensorboard", "torchmetrics", "torchvision", "wandb"}

    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in self.tops or name == "torch.utils.tensorboard":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return MagicMock(__path__=[], __spec__=spec)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, EmptyNames())
import torch
from fluke.algorithms.scaffold import SCAFFOLDServer
from fluke.comm import Message
from fluke.server import Server


def after_three_rounds(kind, target, **settings):
    clients = [SimpleNamespace(index=number, n_examples=10) for number in range(4)]
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    server = kind(model=model, test_set=None, clients=clients, **settings)
    for _ in range(3):
        replies = []
        for client in clients:
            reply = deepcopy(server.model)
            if target is not None:
                reply.weight.data.fill_(target)
            replies.append(reply)
            if kind is SCAFFOLDServer:
                change = {"weight": torch.zeros(1, 1)}
                server.channel.send(Message(change, "control", client.index, inmemory=True), "server")
        server.aggregate(clients, replies)
    return server.model.weight.item()


unchanged = [after_three_rounds(SCAFFOLDServer, None, global_step=step) for step in (0.5, 1.0, 1.5)]
moved = after_three_rounds(SCAFFOLDServer, 2.0, global_step=0.5)
plain = after_three_rounds(Server, None, lr=0.5), after_three_rounds(Server, 2.0, lr=0.5)
print(
    f"a weight of 1 after 3 rounds without change: global_step 0.5 {unchanged[0]}, 1 {unchanged[1]}, 1.5 {unchanged[2]},"
    f" lr=0.5 {plain[0]}; all clients at 2: global_step 0.5 {moved}, lr=0.5 {plain[1]}"
)
assert unchanged[1] == plain[0] == 1 and plain[1] == 1.875
assert (unchanged[0], unchanged[2], moved) == (0.125, 3.375, 1.0), "the server moves by changes now: this finding is out of date"
PY
