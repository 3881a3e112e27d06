"""Makes packages/hub/test/hqq-cases.json: PYTHONPATH=<a checkout of mobiusml/hqq> python tools/cases/make_hqq_cases.py

Small linear layers quantised by hqq's own HQQLinear (0.2.8 here, commit e0b1d00) on a CPU: its encoded state, which is what safetensors files
hold, and the values that its `dequantize` gives, in the layer's type; float32 ones rounded to bfloat16, as all float32 scales are read.
"""
import json
from pathlib import Path

import torch
from stored_tensor import stored
from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

OUT = Path(__file__).resolve().parents[2] / "packages/hub/test/hqq-cases.json"


def case(random, shape, dtype, **options):
    outputs, inputs = shape
    layer = torch.nn.Linear(inputs, outputs, bias=False)
    layer.weight.data = torch.randn(shape, generator=random).mul(0.1)
    settings = BaseQuantizeConfig(**options)
    packed = HQQLinear(layer, settings, compute_dtype=dtype, device="cpu")
    values = packed.dequantize()
    return {
        "config": {
            "quant_method": "hqq",
            "quant_config": settings,
            "skip_modules": ["lm_head"],
        },
        "tensors": {f"w.{key}": stored(value) for key, value in packed.state_dict().items()},
        "name": "w.weight",
        "values": stored(values.bfloat16() if dtype == torch.float32 else values),
    }


def main():
    random = torch.Generator().manual_seed(25)
    cases = {}
    for axis in (1, 0):
        for bits in (8, 4, 3, 2, 1):
            dtype = torch.float16 if bits % 2 == 0 else torch.bfloat16
            name = f"hqq of {bits} bits in groups along {'rows' if axis else 'columns'}"
            cases[name] = case(random, (16, 24), dtype, nbits=bits, group_size=8, axis=axis)
    cases["hqq kept as floats"] = case(
        random, (16, 32), torch.float16, nbits=4, group_size=16, axis=1, view_as_float=True
    )
    cases["hqq in float32"] = case(random, (8, 16), torch.float32, nbits=4, group_size=16, axis=1)
    OUT.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
