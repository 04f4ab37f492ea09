#!/usr/bin/env bash
# onnxruntime 1.32.0: several sessions of one process over an ONNX generator that draws its noise in the graph, with
# RandomNormal without a seed. ONNX 1.23.2 says of the seed: "if not specified we will auto generate one".
#
# Guess: each session has a seed of its own, so the clients of a simulation in one process draw other pictures each. The
# reference implementation of ONNX, which asks numpy, does so.
# Behaviour: one seed is made for the whole process. Every session starts from it, so all of them draw the same pictures,
# run after run, however late they are opened. A process of its own, or another number of nodes before the
# noise, makes other ones. Ten clients with a thousand samples each have a thousand different ones, ten times over.
# Output seen: "10 clients, 1000 samples each: 1000 different ones, 2000 after two runs; reference 10000"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$place/clients.py" <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

SAMPLES, NOISE, PIXELS = 1000, 16, 64
weight = np.random.default_rng(0).normal(size=(NOISE, PIXELS)).astype(np.float32)


def generator(nodes_before):
    before, last = [], "weight"
    for number in range(nodes_before):
        before.append(helper.make_node("Neg", [last], [f"weight{number}"]))
        last = f"weight{number}"
    nodes = [
        *before,
        helper.make_node("RandomNormal", [], ["noise"], shape=[SAMPLES, NOISE]),
        helper.make_node("MatMul", ["noise", last], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["pictures"]),
    ]
    out = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, [SAMPLES, PIXELS])
    graph = helper.make_graph(nodes, "generator", [], [out], [numpy_helper.from_array(weight, "weight")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def session(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    opened = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: opened.run(None, {})[0]


def different(pictures):
    return len(np.unique(np.concatenate(pictures), axis=0))


model = generator(0)
clients = [session(model) for _ in range(10)]
first = [client() for client in clients]
second = [client() for client in clients]
late = session(model)()
reference = [ReferenceEvaluator(model).run(None, {})[0] for _ in range(10)]
assert different([first[0], second[0]]) == 2 * SAMPLES
assert np.array_equal(late, first[0])
other = session(generator(2))()
assert different([first[0], other]) == 2 * SAMPLES
np.save(sys.argv[1], first[0])
print(
    f"10 clients, {SAMPLES} samples each: {different(first)} different ones, {different(first + second)} after two runs;"
    f" reference {different(reference)}"
)
assert different(reference) == 10 * SAMPLES
assert different(first) == SAMPLES and different(first + second) == 2 * SAMPLES, (
    "each session has its own noise now: this finding is out of date"
)
PY
"$place/venv/bin/python" "$place/clients.py" "$place/one.npy"
"$place/venv/bin/python" "$place/clients.py" "$place/two.npy" > "$place/second.txt"
"$place/venv/bin/python" -c "import numpy, sys; one, two = map(numpy.load, sys.argv[1:]); assert not numpy.array_equal(one, two)" \
  "$place/one.npy" "$place/two.npy"
