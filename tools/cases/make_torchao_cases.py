"""Makes packages/hub/test/torchao-cases.json: PYTHONPATH=<a checkout of pytorch/ao> python tools/cases/make_torchao_cases.py

Small linear layers quantised by torchao's own configs (commit 36027d82d here) on a CPU: the tensors that its `flatten_tensor_state_dict` puts
into a safetensors file, the config as transformers writes it, and the values that `dequantize` gives, in bfloat16. Its int4 weights want a
kernel library to be made, so that theirs are made here by the formula of that kernel: w = code·scale + zero, codes from −8 to 7.
"""
import json
from pathlib import Path

import torch
from stored_tensor import stored
from torchao.core.config import config_to_dict
from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
from torchao.quantization import (
    Float8WeightOnlyConfig,
    Int4WeightOnlyConfig,
    Int8DynamicActivationInt8WeightConfig,
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    MappingType,
    PerAxis,
    PerGroup,
    PerTensor,
    quantize_,
)

OUT = Path(__file__).resolve().parents[2] / "packages/hub/test/torchao-cases.json"


def settings(config):
    return {
        "quant_method": "torchao",
        "quant_type": {"default": config_to_dict(config)},
        "modules_to_not_convert": None,
        "include_input_output_embeddings": False,
    }


def case(random, config):
    model = torch.nn.Module()
    model.w = torch.nn.Linear(64, 8, bias=False)
    model.w.weight.data = torch.randn((8, 64), generator=random)
    model.bfloat16()
    quantize_(model, config)
    tensors, _ = flatten_tensor_state_dict(model.state_dict())
    return {
        "config": settings(config),
        "tensors": {name: stored(tensor) for name, tensor in tensors.items()},
        "name": "w.weight",
        "values": stored(model.w.weight.dequantize()),
    }


def int4_case(random):
    codes = torch.randint(-8, 8, (8, 64), generator=random)
    scale = torch.rand((2, 8), generator=random).add(0.1).bfloat16()
    zero = torch.randn((2, 8), generator=random).bfloat16()
    by_group = codes.view(8, 2, 32).float()
    values = by_group * scale.t().float()[..., None] + zero.t().float()[..., None]
    nibbles = (codes & 15).to(torch.uint8)
    packed = (nibbles[:, 1::2] << 4) | nibbles[:, ::2]
    return {
        "config": settings(Int4WeightOnlyConfig(group_size=32)),
        "tensors": {
            "w._weight_qdata": stored(packed.view(torch.int8)),
            "w._weight_scale": stored(scale),
            "w._weight_zero_point": stored(zero),
        },
        "name": "w.weight",
        "values": stored(values.view(8, 64).bfloat16()),
    }


def main():
    random = torch.Generator().manual_seed(26)
    configs = {
        "int8 by rows": Int8WeightOnlyConfig(),
        "int8 with int8 activations": Int8DynamicActivationInt8WeightConfig(),
        "int8 as a whole": Int8WeightOnlyConfig(granularity=PerTensor()),
        "8-bit floats by rows": Float8WeightOnlyConfig(),
        "8-bit floats as a whole": Float8WeightOnlyConfig(granularity=PerTensor()),
        "4 bits in groups": IntxWeightOnlyConfig(
            weight_dtype=torch.int4, granularity=PerGroup(32)
        ),
        "4 bits in groups with zero points": IntxWeightOnlyConfig(
            weight_dtype=torch.int4,
            granularity=PerGroup(32),
            mapping_type=MappingType.ASYMMETRIC,
        ),
        "3 bits by rows": IntxWeightOnlyConfig(weight_dtype=torch.int3, granularity=PerAxis(0)),
        "8 bits in groups": IntxWeightOnlyConfig(
            weight_dtype=torch.int8, granularity=PerGroup(16)
        ),
    }
    cases = {f"torchao {name}": case(random, config) for name, config in configs.items()}
    cases["torchao 4 bits packed"] = int4_case(random)
    OUT.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
