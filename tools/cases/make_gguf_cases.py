"""Makes packages/hub/test/gguf-blocks.json: python tools/cases/make_gguf_cases.py LIBGGML_BASE

Values in every block type of GGUF and back. Types of 32 values are quantised by gguf-py; K types, which it only reads, by ggml's own
ggml_quantize_chunk without an importance matrix, from the shared library LIBGGML_BASE (libggml-base.so of any build for a baseline processor,
without fused multiply-add: the one here was llama.cpp's release v0.5.0). Every type is dequantised by gguf-py; of those values the SHA-256 is kept.
"""
import base64
import ctypes
import hashlib
import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf.constants import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize

OUT = Path(__file__).resolve().parents[2] / "packages/hub/test/gguf-blocks.json"
SMALL = [Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1]
LARGE = [Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K]


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def values():
    random = np.random.default_rng(7)
    rows = [
        random.standard_normal((4, 256)),
        random.standard_normal((2, 256)) * 0.02,
        random.standard_t(2, (2, 256)) * 0.1,
        np.abs(random.standard_normal((1, 256))),
        -np.abs(random.standard_normal((1, 256))),
        random.standard_normal((1, 256)) * 1e-6,
        random.integers(-3, 4, (1, 256)) / 4,
        np.full((1, 256), 0.25),
        np.zeros((1, 256)),
    ]
    return np.concatenate(rows).astype(np.float32)


def main(library):
    ggml = ctypes.CDLL(library)
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    ggml.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    x = values()
    types = {}
    for kind in SMALL + LARGE:
        if kind in SMALL:
            blocks = quantize(x, kind)
        else:
            blocks = np.zeros(gguf.quant_shape_to_byte_shape(x.shape, kind), np.uint8)
            ggml.ggml_quantize_chunk(
                int(kind), x.ctypes.data, blocks.ctypes.data, 0, x.shape[0], x.shape[1], None
            )
        read = dequantize(blocks, kind).astype(np.float32)
        read = np.ascontiguousarray(read).tobytes()
        types[kind.name] = {"blocks": text(blocks), "values": hashlib.sha256(read).hexdigest()}
    OUT.write_text(json.dumps({"values": text(x), "types": types}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
