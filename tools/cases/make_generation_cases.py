"""Makes packages/generation/test/generation-cases.json with Hugging Face transformers: python tools/cases/make_generation_cases.py

Beam searches and repetition penalties of the tiny models below packages/testing/fixtures/models, and what transformers' logit warpers leave of a
row of logits. Needs torch and transformers.
"""
import json
import math
from pathlib import Path

import torch
import transformers as tf
from transformers.generation import logits_process as lp

ROOT = Path(__file__).parent.parent.parent / "packages"
MODELS = {
    "llama": tf.AutoModelForCausalLM,
    "gpt2": tf.AutoModelForCausalLM,
    "flan-t5": tf.AutoModelForSeq2SeqLM,
}


def run(model, case, prompts, pad, **options):
    """Each prompt alone, so that no padding takes part."""
    results = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            pad_token_id=pad,
            return_dict_in_generate=True,
            output_scores=True,
            use_cache=True,
            **options
        )
        start = 1 if model.config.is_encoder_decoder else len(prompt)
        row = out.sequences[0].tolist()[start:]
        result = {"ids": row}
        if options.get("num_beams", 1) > 1:
            result["score"] = out.sequences_scores[0].item()
        results.append(result)
    return {**case, "results": results}


def forced_cases(model, name, prompts, pad, ends):
    """A first and a last token that the model would not choose."""
    for beams in (1, 3):
        options = {"maxNewTokens": 6, "endIds": ends, "firstId": 33, "lastId": 44}
        if beams > 1:
            options["beams"] = beams
        yield run(
            model,
            {"model": name, "prompts": prompts, "options": options},
            prompts,
            pad,
            max_new_tokens=6,
            num_beams=beams,
            eos_token_id=ends,
            forced_bos_token_id=33,
            forced_eos_token_id=44,
        )


def generation_cases():
    cases = []
    for name, cls in MODELS.items():
        folder = ROOT / "testing/fixtures/models" / name
        generation = json.loads((folder / "case.json").read_text())["generation"]
        prompts = [
            [i for i, m in zip(row, mask) if m]
            for row, mask in zip(generation["input_ids"], generation["attention_mask"])
        ]
        model = cls.from_pretrained(folder, dtype=torch.float32).eval()
        pad = generation["pad_token_id"]
        model.generation_config = tf.GenerationConfig(
            decoder_start_token_id=0 if model.config.is_encoder_decoder else None
        )
        # End tokens that such a model really makes: some of those of its plain continuation.
        plain = run(model, {}, prompts, pad, max_new_tokens=8)["results"]
        ends = sorted({result["ids"][3] for result in plain} | {plain[0]["ids"][6]})
        for penalty in (1.3, 0.7):
            cases.append(
                run(
                    model,
                    {
                        "model": name,
                        "prompts": prompts,
                        "options": {
                            "maxNewTokens": 12,
                            "repetitionPenalty": penalty,
                            "endIds": ends[:1],
                        },
                    },
                    prompts,
                    pad,
                    max_new_tokens=12,
                    repetition_penalty=penalty,
                    eos_token_id=ends[:1],
                )
            )
        for beams, length_penalty, early, ends_of in (
            (2, 1.0, False, ends),
            (4, 1.0, False, ends[:1]),
            (4, 0.0, "never", ends),
            (3, 2.0, True, ends),
            (3, 2.0, "never", ends[:2]),
            (4, -1.0, False, ends),
        ):
            cases.append(
                run(
                    model,
                    {
                        "model": name,
                        "prompts": prompts,
                        "options": {
                            "maxNewTokens": 10,
                            "beams": beams,
                            "lengthPenalty": length_penalty,
                            "earlyStopping": early,
                            "endIds": ends_of,
                        },
                    },
                    prompts,
                    pad,
                    max_new_tokens=10,
                    num_beams=beams,
                    length_penalty=length_penalty,
                    early_stopping=early,
                    eos_token_id=ends_of,
                )
            )
        if model.config.is_encoder_decoder:
            cases.extend(forced_cases(model, name, prompts, pad, ends[:1]))
        cases.append(
            run(
                model,
                {
                    "model": name,
                    "prompts": prompts,
                    "options": {
                        "maxNewTokens": 10,
                        "beams": 3,
                        "repetitionPenalty": 1.5,
                        "endIds": ends,
                    },
                },
                prompts,
                pad,
                max_new_tokens=10,
                num_beams=3,
                repetition_penalty=1.5,
                eos_token_id=ends,
            )
        )
    return cases


def distributions():
    generator = torch.Generator().manual_seed(5)
    logits = (torch.randn(1, 40, generator=generator) * 2).round(decimals=2)
    logits[0, 7] = logits[0, 11] = logits[0].sort().values[-3]  # ties
    rows = []
    for temperature, top_k, top_p in (
        (1.0, 0, 1.0),
        (0.7, 0, 1.0),
        (1.5, 5, 1.0),
        (1.0, 3, 1.0),
        (1.0, 0, 0.9),
        (0.8, 10, 0.6),
        (1.0, 0, 0.01),
        (2.0, 1, 0.5),
    ):
        scores = (
            lp.TemperatureLogitsWarper(temperature)(None, logits) if temperature != 1 else logits
        )
        if top_k:
            scores = lp.TopKLogitsWarper(top_k)(None, scores)
        if top_p < 1:
            scores = lp.TopPLogitsWarper(top_p)(None, scores)
        rows.append(
            {
                "options": {"temperature": temperature, "topK": top_k, "topP": top_p},
                "probabilities": scores.double().softmax(-1)[0].tolist(),
            }
        )
    return {"logits": [round(x, 6) for x in logits[0].tolist()], "rows": rows}


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    path = ROOT / "generation/test/generation-cases.json"
    path.write_text(
        json.dumps(
            {
                "transformers": tf.__version__,
                "generation": generation_cases(),
                "distributions": distributions(),
            }
        )
        + "\n"
    )
    print(path, path.stat().st_size)
