#!/usr/bin/env python3
"""Prints the speed of PyTorch's bfloat16 products (oneDNN) in GFLOP/s: 512 rows by 8192 x 2048 weights that come from memory."""
import argparse
import os
import statistics
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    rows, width, out = 512, 2048, 8192
    x = torch.randn(rows, width).bfloat16()
    weights = [torch.randn(out, width).bfloat16() for _ in range(8)]
    seconds = []
    with torch.inference_mode():
        for _ in range(5):
            for weight in weights:
                start = time.perf_counter()
                torch.nn.functional.linear(x, weight)
                seconds.append(time.perf_counter() - start)
    print(2 * rows * width * out / statistics.median(seconds[len(weights) :]) / 1e9)


if __name__ == "__main__":
    main()
