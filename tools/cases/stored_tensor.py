"""A tensor as the cases of quantised checkpoints keep it: the type's name in safetensors, the shape, and the bytes in base64."""
import base64

import torch

DTYPES = {
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.float8_e8m0fnu: "F8_E8M0",
}


def stored(tensor):
    tensor = tensor.detach()
    data = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return {
        "dtype": DTYPES[tensor.dtype],
        "shape": list(tensor.shape),
        "data": base64.b64encode(data).decode(),
    }
