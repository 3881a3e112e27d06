"""Loads adapters with PEFT and prints their logits: `peft_logits.py REQUEST.json`, a list of {model, adapter, task, input_ids, attention_mask, labels, vocabulary}."""

import json
import sys

import torch
import transformers
from peft import PeftModel

CLASSES = {
    "seqcls": transformers.AutoModelForSequenceClassification,
    "causal": transformers.AutoModelForCausalLM,
    "seq2seq": transformers.AutoModelForSeq2SeqLM,
    "encoder": transformers.T5EncoderModel,
    "base": transformers.AutoModel,
}


def logits(request):
    model = CLASSES[request["task"]].from_pretrained(request["model"], dtype=torch.float32)
    if request["task"] == "seq2seq" and not hasattr(
        model, "_prepare_encoder_decoder_kwargs_for_generation"
    ):
        model._prepare_encoder_decoder_kwargs_for_generation = None  # peft 0.21 asks for it
    if "vocabulary" in request:
        model.resize_token_embeddings(request["vocabulary"])
    model = PeftModel.from_pretrained(model, request["adapter"]).eval()
    # Labels give an encoder-decoder its decoder's input; elsewhere they would only add a loss, which AdaLoRA refuses at inference.
    names = ("input_ids", "attention_mask", "token_type_ids") + (
        ("labels",) if request["task"] == "seq2seq" else ()
    )
    batch = {k: torch.tensor(request[k]) for k in names if k in request}
    with torch.no_grad():
        output = model(**batch)
    values = output.logits if "logits" in output else output.last_hidden_state
    return {"shape": list(values.shape), "values": values.flatten().tolist()}


transformers.logging.set_verbosity_error()
with open(sys.argv[1]) as file:
    print(json.dumps([logits(request) for request in json.load(file)]))
