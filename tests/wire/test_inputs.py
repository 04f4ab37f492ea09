"""What is taken as an array: tensors and others, converted where that is exact, else refused."""

import numpy as np
import pytest
import torch

from flwr_gan.errors import CodecError
from flwr_gan.wire import Template, decode_payload, encode_payload


def tensors():
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 7
    return {
        "float32": base,
        "gradient": base.clone().requires_grad_(),
        "parameter": torch.nn.Parameter(base),
        "transposed": base.t(),
        "strided": base[:, ::2],
        "0-d": torch.tensor(2.5),
        "float16": base.half(),
        "float64": base.double(),
        "int64": torch.arange(5),
        "bool": torch.tensor([True, False]),
        "complex": torch.tensor([1 + 2j]).conj(),
        "negative view": torch.tensor([1 + 2j]).conj().imag,
        "empty": torch.empty(0, 3),
    }


@pytest.mark.parametrize("spec", ["raw", "sparse", "zlib"])
@pytest.mark.parametrize("name", tensors())
def test_tensors_travel_as_their_arrays(spec, name):
    tensor = tensors()[name]
    expected = tensor.detach().resolve_conj().resolve_neg().numpy()
    payload = encode_payload({"w": tensor}, codec=spec)
    assert payload == encode_payload({"w": expected}, codec=spec)
    decoded = decode_payload(payload, template=Template.of({"w": tensor}))["w"]
    assert decoded.dtype == expected.dtype
    assert decoded.shape == expected.shape
    assert np.array_equal(decoded, expected)


@pytest.mark.parametrize("shape", [(), (6,), (2, 3)])
def test_bfloat16_tensors(shape):
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0)).bfloat16()
    for given in (
        tensor,
        tensor.clone().requires_grad_(),
        tensor.t() if shape == (2, 3) else tensor,
    ):
        decoded = decode_payload(encode_payload({"w": given}))["w"]
        assert decoded.dtype.name == "bfloat16"
        assert np.array_equal(decoded.astype(np.float32), given.detach().float().numpy())


class Wrapped:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        if self.array is None:
            raise NotImplementedError("no values here\nand more lines")
        return self.array


def test_whatever_has_an_array_is_one():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    plain = encode_payload({"w": array})
    for given in (Wrapped(array), array.tolist(), np.ma.masked_array(array)):
        decoded = decode_payload(encode_payload({"w": given}))["w"]
        assert np.array_equal(decoded, array)
    assert encode_payload({"w": Wrapped(array)}) == plain
    assert decode_payload(encode_payload({"n": 7}))["n"].shape == ()


def refused():
    eye = torch.eye(3)
    return [
        (eye.to_sparse(), r"w: a sparse tensor .* use \.to_dense\(\)"),
        (eye.to("meta"), "w: a meta tensor .* no values"),
        (eye.to(torch.float8_e4m3fn), "w: a tensor of torch.float8_e4m3fn .* convert it"),
        (np.array([None]), "w: dtype object cannot be coded; allowed: .*bfloat16; convert"),
        (np.array(["a"]), "w: dtype <U1 cannot be coded"),
        ("text", "w: dtype <U4 cannot be coded"),
        (None, "w: dtype object cannot be coded"),
        (np.zeros(2, "M8[s]"), "w: dtype datetime64"),
        (np.zeros(2, np.longdouble), "w: dtype float128|w: dtype longdouble"),
        (np.zeros(2, "V3"), "w: dtype .*V3"),
        (np.zeros(2, [("a", "u1"), ("b", "u1")]), "w: dtype .* cannot be coded"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), r"w: a masked array .* \.filled"),
        ([[1, 2], [3]], "w: list is no array"),
        (Wrapped(None), r"w: Wrapped is no array \(no values here\)"),
    ]


@pytest.mark.parametrize("at", range(len(refused())))
def test_what_does_not_convert_is_refused_in_one_line(at):
    value, said = refused()[at]
    for call in (encode_payload, Template.of):
        with pytest.raises(CodecError, match=said) as error:
            call({"w": value})
        assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_quantised_and_nested_tensors_are_refused():
    parts = [torch.ones(2), torch.ones(3)]
    quantised = torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8)
    for tensor, kind in ((quantised, "quantised"), (torch.nested.nested_tensor(parts), "nested")):
        with pytest.raises(CodecError, match=f"layer.weight: a {kind} tensor cannot be coded"):
            encode_payload({"layer.weight": tensor})


def test_a_base_may_hold_what_no_payload_can():
    array = np.linspace(1, 2, 90, dtype=np.float32).reshape(9, 10)
    base = {1: array, "w": torch.tensor(array), "text": "a", "none": None}
    payload = encode_payload({"w": array * 2}, base=base)
    assert np.array_equal(decode_payload(payload, base=base)["w"], array * 2)
