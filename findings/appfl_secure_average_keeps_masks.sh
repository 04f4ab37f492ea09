#!/usr/bin/env bash
# appfl 1.12.0: FedAvgAggregator with use_secure_agg=True, for masked changes of four clients with 10 to 40 samples.
#
# Guess: masks cancel in pairs. client_weights_mode="sample_size" needs clients that scale before they mask, so it is
# refused beside masks, or changes nothing; at worst it averages with equal weights. The mean change is added to the model.
# Behaviour: masked changes are multiplied by the clients' shares, and a mask times 0.1 does not cancel the same mask
# times 0.4: what is left of them has a deviation of 0.45 where the change is 0.03, and goes into the model in each round,
# without a word. With equal weights the step is right. But in the first round, with any weights, the server has no
# state yet and takes the mean change in place of the model: what the clients started from, or were pretrained to, is lost.
# Output seen: "equal: 1.0 becomes 0.025, then a change of 0.025 with deviation 3.7e-08; sample_size: 1.0 becomes 0.029, then a
# change of 0.016 with deviation 0.45" (on one line)
#
# Only the aggregators and the masks are loaded, without appfl's communicators.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6 omegaconf==2.3.1
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps appfl==1.12.0
"$place/venv/bin/python" - <<'PY'
import sys
import types
import warnings

warnings.filterwarnings("ignore")
import torch
from omegaconf import OmegaConf

for name in ("appfl", "appfl.privacy", "appfl.algorithm", "appfl.misc"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [f"{path}/{name.replace('.', '/')}" for path in sys.path]
from appfl.algorithm.aggregator import FedAvgAggregator
from appfl.privacy.secure_aggregator import SecureAggregator

SAMPLES = {"a": 10, "b": 20, "c": 30, "d": 40}
CHANGE = {"a": 0.01, "b": 0.02, "c": 0.03, "d": 0.04}
START = 1.0


def two_rounds(mode):
    model = torch.nn.Linear(1000, 1, bias=False)
    model.weight.data.fill_(START)
    server = FedAvgAggregator(model, OmegaConf.create({"use_secure_agg": True, "client_weights_mode": mode}))
    states = [server.get_parameters()["weight"].clone()]
    for round_number in range(2):
        replies = {}
        for client, samples in SAMPLES.items():
            server.set_client_sample_size(client, samples)
            masks = SecureAggregator(client, SAMPLES, b"shared", torch.device("cpu"))
            change = {"weight": torch.full((1, 1000), CHANGE[client])}
            flat, shapes = masks.mask_update(change, round_number)
            replies[client] = {"type": "masked_update_flat", "flat": flat, "shapes": shapes, "num_examples": samples}
        server.aggregate(replies)
        states.append(server.get_parameters()["weight"].clone())
    return states


found = {}
for mode in ("equal", "sample_size"):
    start, first, second = two_rounds(mode)
    assert torch.all(start == START)
    step = second - first
    found[mode] = first.mean().item(), step.mean().item(), step.std().item()
print(
    "; ".join(
        f"{mode}: {START} becomes {first:.3f}, then a change of {mean:.3f} with deviation {left:.2g}"
        for mode, (first, mean, left) in found.items()
    )
)
assert abs(found["equal"][1] - 0.025) < 1e-4 and found["equal"][2] < 1e-4
assert found["sample_size"][2] > 0.3, "masks cancel beside weights now: this finding is out of date"
assert abs(found["equal"][0] - 0.025) < 1e-4, "the first round keeps the model now: this finding is out of date"
PY
