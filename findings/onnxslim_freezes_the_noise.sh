#!/usr/bin/env bash
# onnxslim 0.1.98 and onnx-graphsurgeon 0.6.1 over an ONNX generator that draws its noise in the graph, with RandomNormal
# of a fixed shape. onnxsim 0.8.1 and onnxscript 0.7.2 beside them.
#
# Guess: what is folded is what depends on constants alone. A random node has no inputs and is no constant, so it stays,
# and the slimmed generator draws new pictures at each run, as before. The other two leave it alone.
# Behaviour: a node without inputs counts as constant. Both run the generator once, and write the pictures of that run in
# place of noise and layers: the slimmed model draws them for ever, and its weights are gone. There is no warning.
# RandomUniform and the two "Like" nodes over a constant fare the same. onnxsim and onnxscript keep them.
# Output seen: "as it is: new pictures; onnxslim: the same pictures; graphsurgeon: the same pictures; onnxsim: new pictures;
# onnxscript: new pictures" (on one line)
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check \
  onnxslim==0.1.98 onnx-graphsurgeon==0.6.1 onnxsim==0.8.1 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$place/venv/bin/python" - <<'PY'
import contextlib
import io

import numpy as np
import onnx
import onnx_graphsurgeon
import onnxruntime
import onnxscript.optimizer
import onnxsim
import onnxslim
from onnx import TensorProto, helper, numpy_helper

BATCH, NOISE, PIXELS = 8, 16, 64


def generator(op):
    weight = np.random.default_rng(0).normal(size=(NOISE, PIXELS)).astype(np.float32)
    if op.endswith("Like"):
        first = [
            helper.make_node("Constant", [], ["shape"], value=numpy_helper.from_array(np.zeros((BATCH, NOISE), np.float32))),
            helper.make_node(op, ["shape"], ["noise"]),
        ]
    else:
        first = [helper.make_node(op, [], ["noise"], shape=[BATCH, NOISE])]
    nodes = [
        *first,
        helper.make_node("MatMul", ["noise", "weight"], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["pictures"]),
    ]
    out = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, [BATCH, PIXELS])
    graph = helper.make_graph(nodes, "generator", [], [out], [numpy_helper.from_array(weight, "weight")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def is_new_each_time(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return not np.array_equal(session.run(None, {})[0], session.run(None, {})[0])


def graphsurgeon(model):
    graph = onnx_graphsurgeon.import_onnx(model)
    return onnx_graphsurgeon.export_onnx(graph.fold_constants().cleanup())


tools = {
    "as it is": lambda model: model,
    "onnxslim": onnxslim.slim,
    "graphsurgeon": graphsurgeon,
    "onnxsim": lambda model: onnxsim.simplify(model)[0],
    "onnxscript": onnxscript.optimizer.optimize,
}
found = {}
for name, tool in tools.items():
    found[name] = set()
    for op in ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike"):
        with contextlib.redirect_stdout(io.StringIO()):
            slim = tool(generator(op))
        has_noise = any(node.op_type == op for node in slim.graph.node)
        new = is_new_each_time(slim)
        assert new is has_noise
        found[name].add("new pictures" if new else "the same pictures")
print("; ".join(f"{name}: {' or '.join(sorted(kinds))}" for name, kinds in found.items()))
for name in ("as it is", "onnxsim", "onnxscript"):
    assert found[name] == {"new pictures"}, name
for name in ("onnxslim", "graphsurgeon"):
    assert found[name] == {"the same pictures"}, f"{name} keeps the noise now: this finding is out of date"
PY
