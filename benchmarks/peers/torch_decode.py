#!/usr/bin/env python3
"""Times greedy decoding of a random-weight model with PyTorch + transformers in bfloat16: the peer of `npm run bench:decode`.

Takes the same arguments and prints the same fields: the median over the tokens after the prompt, with transformers' own key-value cache.
"""
import argparse
import json
import os
import statistics
import sys
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", required=True, help="a config.json")
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    try:
        import torch
        import transformers
    except ImportError as error:
        sys.exit(f"torch_decode: {error}. Install torch and transformers to measure the peer.")
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    with open(arguments.arch) as file:
        config = transformers.AutoConfig.for_model(**json.load(file))
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("meta"):  # only the time counts, and transformers' own random weights take minutes
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
    model.to_empty(device="cpu")
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.02, 0.02)
    for buffer in model.buffers():  # rotary frequencies
        buffer.fill_(0.5)
    ids = torch.randint(5, config.vocab_size, (arguments.batch, arguments.prompt))
    seconds = []
    processor = []
    with torch.inference_mode():
        output = model(ids, use_cache=True, logits_to_keep=1)
        for _ in range(arguments.tokens):
            start, before = time.perf_counter(), time.process_time()
            ids = output.logits[:, -1].argmax(-1, keepdim=True)
            output = model(ids, past_key_values=output.past_key_values, use_cache=True)
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - before)
    median = statistics.median(seconds)
    print(
        json.dumps(
            {
                "promptTokens": arguments.prompt,
                "batch": arguments.batch,
                "tokens": arguments.tokens,
                "medianMsPerToken": median * 1e3,
                "processorMsPerToken": sorted(processor)[len(processor) // 4] * 1e3,
                "tokensPerSecond": arguments.batch / median,
            }
        )
    )


main()
