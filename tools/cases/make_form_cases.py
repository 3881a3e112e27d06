"""Makes packages/hub/test/form-cases.json: python tools/cases/make_form_cases.py

Small tensors in the forms of quantised checkpoints and the values that transformers (5.17 here) reads from them on a CPU: 8-bit floats with
scales of blocks, rows, experts and powers of two by its Fp8Dequantize, MXFP4 by its convert_moe_packed_tensors. Values are bfloat16.
"""
import json
from pathlib import Path

import torch
from stored_tensor import stored
from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

OUT = Path(__file__).resolve().parents[2] / "packages/hub/test/form-cases.json"


def float8_cases(random):
    dequantize = Fp8Dequantize(None)._dequantize_one

    def case(block, shape, scale, dtype=torch.float8_e4m3fn):
        weight = torch.randn(shape, generator=random).mul(40).to(dtype)
        return {
            "config": {"quant_method": "fp8", "weight_block_size": block},
            "tensors": {"w.weight": stored(weight), "w.weight_scale_inv": stored(scale)},
            "name": "w.weight",
            "values": stored(dequantize(weight, scale, torch.bfloat16)),
        }

    def scales(*shape):
        return torch.rand(shape, generator=random) * 1e-2

    return {
        "fp8 blocks": case([8, 16], (24, 32), scales(3, 2)),
        "fp8 blocks of experts": case([8, 8], (2, 16, 8), scales(2, 2, 1)),
        "fp8 rows": case(None, (6, 10), scales(6, 1)),
        "fp8 all": case(None, (6, 10), scales(1)),
        "fp8 e5m2": case([4, 4], (8, 8), scales(2, 2), torch.float8_e5m2),
        "fp8 exponents": case([4, 4], (8, 8), scales(2, 2).to(torch.float8_e8m0fnu)),
    }


def mxfp4_case(random):
    blocks = torch.randint(0, 256, (2, 6, 3, 16), generator=random, dtype=torch.uint8)
    scales = torch.randint(118, 131, (2, 6, 3), generator=random, dtype=torch.uint8)
    return {
        "config": {"quant_method": "mxfp4"},
        "tensors": {
            "experts.gate_up_proj_blocks": stored(blocks),
            "experts.gate_up_proj_scales": stored(scales),
        },
        "name": "experts.gate_up_proj",
        "values": stored(convert_moe_packed_tensors(blocks, scales, dtype=torch.bfloat16)),
    }


def main():
    random = torch.Generator().manual_seed(19)
    cases = {**float8_cases(random), "mxfp4": mxfp4_case(random)}
    OUT.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
