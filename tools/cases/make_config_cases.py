"""Makes packages/models/test/config-cases.json: python tools/cases/make_config_cases.py

For every model type with a golden case, every key of transformers' config class is given another value, and what that does to the logits of
the case's model is measured: nothing (`same`), other logits (`differs`, with their first numbers), other tensors (`shapes`), or the reference
itself does not take it (`refused`). An entry of an object is a key of its own, `rope_parameters.rope_theta`.
"""
import copy
import json
from pathlib import Path

import torch
import transformers as tf
from transformers.utils import logging

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "packages/testing/fixtures/models"
OUT = ROOT / "packages/models/test/config-cases.json"
CLASSES = {
    "causal": tf.AutoModelForCausalLM,
    "seq2seq": tf.AutoModelForSeq2SeqLM,
    "seqcls": tf.AutoModelForSequenceClassification,
}
TOKENS = 12
# FalconAttention adds ALiBi's biases twice in its eager form
ATTENTION = {"falcon": "sdpa"}
# what names the file and its making, or says what a call returns
SKIPPED = {
    "model_type",
    "architectures",
    "transformers_version",
    "_name_or_path",
    "dtype",
    "torch_dtype",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
}
ACTIVATIONS = ("relu", "gelu")
# values that a key's type does not suggest
OTHERS = {
    "hidden_act": ACTIVATIONS,
    "hidden_activation": ACTIVATIONS,
    "activation_function": ACTIVATIONS,
    "activation": ACTIVATIONS,
    "hidden_dropout_prob": (0.3,),
    "feed_forward_proj": ("relu", "gated-gelu"),
    "dense_act_fn": ("relu",),
    "is_gated_act": (False, True),
    "position_embedding_type": ("relative_key",),
    "cls_token_id": (1,),
    "problem_type": ("multi_label_classification", "single_label_classification"),
    "sliding_window": (3,),
    "use_sliding_window": (True,),
    "layer_types": ("flip",),
    "attention_types": ([[["global", "local"], 1]],),
    "attention_layers": (["local", "local"],),
    "pad_token_id": (5,),
    "num_key_value_heads": (1, 2, 4),
    "norm_type": ("rms_norm",),
    "classifier_pooling": ("cls", "mean"),
    "experts_implementation": ("eager",),
    "mlp_only_layers": ([0],),
    "no_rope_layers": ([0, 0],),
    "final_logit_softcapping": (3.0,),
    "attn_logit_softcapping": (1.0,),
    "query_pre_attn_scalar": (7,),
    "summary_type": ("last",),
    "position_biased_input": (False,),
    "pos_att_type": (["c2p"], ["p2c"]),
    "norm_rel_ebd": ("none",),
    "rope_type": ("linear",),
}


def others(key, value):
    name = key.split(".")[-1]
    if name in OTHERS:
        return [other for other in OTHERS[name] if other != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value * 2, max(1, value // 2), value - 1]
    if isinstance(value, float):
        return [value * 1.5 + 0.125]
    if value is None:
        return [3, 0.5, True]
    return []


def keys_of(config, fixture):
    """Every key with its value; those of objects with a point."""
    found = {}
    for key, value in {**type(config)().to_dict(), **fixture}.items():
        if key in SKIPPED or key in ("id2label", "label2id"):
            continue
        if key == "rope_parameters" and "rope_scaling" in fixture:
            continue  # the older spelling of the same
        if isinstance(value, dict):
            found.update({f"{key}.{inner}": each for inner, each in value.items()})
        else:
            found[key] = value
    return found


def with_value(fixture, key, value):
    changed = copy.deepcopy(fixture)
    if value == "flip":
        kinds = fixture.get(key)
        if not isinstance(kinds, list) or len(set(kinds)) < 2:
            return None
        value = kinds[::-1]
    outer, _, inner = key.partition(".")
    if inner:
        changed[outer] = {**changed.get(outer, {}), inner: value}
    else:
        changed[outer] = value
    return changed


class Case:
    def __init__(self, folder):
        self.folder = folder
        self.fixture = json.loads((folder / "config.json").read_text())
        self.case = json.loads((folder / "case.json").read_text())
        batch = self.case["batch"]
        self.ids = batch["input_ids"][0][:TOKENS]
        self.inputs = {"input_ids": torch.tensor([self.ids])}
        if self.case["task"] == "seq2seq":
            self.inputs["decoder_input_ids"] = torch.tensor([self.ids[: TOKENS // 2]])

    def logits(self, fixture):
        """The logits, or None where the checkpoint's tensors are not the model's."""
        config = tf.AutoConfig.for_model(**copy.deepcopy(fixture))
        model, report = CLASSES[self.case["task"]].from_pretrained(
            str(self.folder),
            config=config,
            dtype=torch.float32,
            attn_implementation=ATTENTION.get(fixture["model_type"], "eager"),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
        if report["missing_keys"] or report["unexpected_keys"] or report["mismatched_keys"]:
            return None
        with torch.no_grad():
            out = model.eval()(**self.inputs)
        out = out[0] if isinstance(out, tuple) else out.logits
        return out.flatten()

    def effects(self):
        plain = self.logits(self.fixture)
        found = {}
        config = tf.AutoConfig.for_model(**copy.deepcopy(self.fixture))
        for key, value in keys_of(config, self.fixture).items():
            for other in others(key, value):
                changed = with_value(self.fixture, key, other)
                effect = changed and self.effect(plain, changed)
                if not effect:
                    continue
                outer, _, inner = key.partition(".")
                stored = changed[outer][inner] if inner else changed[outer]
                if key not in found or found[key]["effect"] in ("same", "refused"):
                    found[key] = {"value": stored, **effect}
                if effect["effect"] == "differs":
                    break
        return plain, found

    def effect(self, plain, changed):
        try:
            logits = self.logits(changed)
        except Exception:
            return {"effect": "refused"}
        if logits is None or logits.shape != plain.shape:
            return {"effect": "shapes"}
        if torch.isnan(logits).any():
            return {"effect": "refused"}
        if torch.allclose(logits, plain, atol=1e-6, rtol=1e-6):
            return {"effect": "same"}
        return {"effect": "differs", "logits": first(logits)}


def first(logits):
    """The first four and the last four."""
    return [round(float(x), 5) for x in torch.cat([logits[:4], logits[-4:]])]


def main():
    logging.set_verbosity_error()
    types = {}
    for folder in sorted(MODELS.iterdir()):
        if not (folder / "case.json").exists():
            continue
        case = Case(folder)
        if case.fixture["model_type"] in types:
            continue
        plain, keys = case.effects()
        types[case.fixture["model_type"]] = {
            "fixture": folder.name,
            "task": case.case["task"],
            "ids": case.ids,
            "logits": first(plain),
            "keys": keys,
        }
        counts = {}
        for each in keys.values():
            counts[each["effect"]] = counts.get(each["effect"], 0) + 1
        print(folder.name, counts, flush=True)
    OUT.write_text(json.dumps(types, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
