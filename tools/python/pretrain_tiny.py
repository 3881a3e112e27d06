"""Pre-trains the small multilingual encoder of the example: DeBERTa-v2 as mDeBERTa-v3, on sentences and translations.

Nearly everything is learnt by one question: which of the batch is this sentence's translation, or the continuation of its
document (InfoNCE with in-batch negatives, as LaBSE, Feng et al. 2020)? Translations put languages into one space;
sentences of one document share a topic.

 1. tokenizer: Unigram with NFKC and Metaspace.
 2. bag: the embedding table and the first layer's attention of the first token alone, all else left out. It reads
    hundreds of thousands of tokens a second, because everything but a weighted sum is computed once per token of the
    vocabulary. After a tenth of its time on translations it tells which neighbouring lines come from one document.
 3. encoder: all layers, started so that the first token's state is nearly the bag's. Its vectors of sentences with masked
    tokens are to find the bag's vectors of translations and documents; the masked tokens are predicted as well (among the
    tokens of the batch and a sample).

Corpus folder: mono.<lang>.txt.xz (a sentence per line, neighbours mostly of one document) and parallel.tsv.xz (lang1,
lang2, text1, text2, likewise). Output folder: config.json, model.safetensors (bf16), tokenizer.json,
tokenizer_config.json, training.json. Work folder: state to go on from after an interruption; stages done are kept.

    python pretrain_tiny.py --corpus DIR --work DIR --out DIR --bag-minutes 20 --minutes 13 --threads 2

One go at one temperature gives a weaker model than the example's, whose bag went from temperature 0.05 to 0.15 (its card has the scores of both).

Needs torch, transformers, tokenizers, safetensors, numpy.
"""

import argparse
import json
import os
import random
import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import DebertaV2Model
from pretrain_corpus import LENGTH, Packed, load_packed, Sampler, related_starts
from pretrain_bag import Bag, train_bag
from pretrain_encoder import make_config, start_as_bag, Encoder, train_encoder


def save(model, bag_done, done, args):
    half = DebertaV2Model(model.config)
    half.load_state_dict(model.body.state_dict())
    half.to(torch.bfloat16).save_pretrained(args.out)
    Tokenizer.from_file(f"{args.work}/tokenizer.json").save(
        f"{args.out}/tokenizer.json", pretty=False
    )
    parameters = sum(p.numel() for p in model.body.parameters())
    json.dump(
        {
            "tokenizer_class": "DebertaV2TokenizerFast",
            "model_max_length": LENGTH,
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "mask_token": "[MASK]",
            "bos_token": "[CLS]",
            "eos_token": "[SEP]",
        },
        open(f"{args.out}/tokenizer_config.json", "w"),
        indent=2,
    )
    json.dump(
        {
            "parameters": parameters,
            "vocabulary": model.config.vocab_size,
            "bag": bag_done,
            "encoder": {
                "steps": done["step"],
                "tokens": done["tokens"],
                "minutes": round(done["seconds"] / 60, 1),
                "last losses and shares ranked first": done["ranking"],
            },
            "settings": {
                k: v for k, v in vars(args).items() if k not in ("corpus", "work", "out", "probe")
            },
        },
        open(f"{args.out}/training.json", "w"),
        indent=2,
    )


def main():
    ap = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("--corpus", required=True)
    ap.add_argument("--work", required=True)
    ap.add_argument("--out", required=True)
    ap.add_argument("--bag-minutes", type=float, default=20)
    ap.add_argument("--minutes", type=float, default=13, help="for the encoder")
    ap.add_argument("--hidden", type=int, default=256)
    ap.add_argument("--layers", type=int, default=3)
    ap.add_argument("--heads", type=int, default=4)
    ap.add_argument("--vocab", type=int, default=32000)
    ap.add_argument("--length", type=int, default=64, help="tokens of a text")
    ap.add_argument(
        "--documents",
        nargs="+",
        default=["en", "de", "ja", "es", "zh"],
        help="languages whose neighbouring lines come from one document",
    )
    ap.add_argument(
        "--mix",
        nargs=3,
        type=float,
        default=[0.3, 0.48, 0.22],
        help="shares of translations, neighbours, neighbours across languages",
    )
    ap.add_argument(
        "--reach", type=int, default=8, help="sentences of a document that are asked for"
    )
    ap.add_argument("--bag-batch", type=int, default=2048)
    ap.add_argument("--bag-lr", type=float, default=4e-3)
    ap.add_argument("--bag-temperature", type=float, default=0.15)
    ap.add_argument("--bag-drop", type=float, default=0.1)
    ap.add_argument("--batch", type=int, default=256)
    ap.add_argument("--lr", type=float, default=5e-4)
    ap.add_argument(
        "--table-rate",
        type=float,
        default=0.3,
        help="learning rate of the embedding table, times --lr",
    )
    ap.add_argument("--temperature", type=float, default=0.1)
    ap.add_argument("--masked", type=float, default=0.15)
    ap.add_argument("--masked-share", type=float, default=0.2)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument(
        "--count-pauses",
        action="store_true",
        help="the encoder's minutes include those in which the process is stopped",
    )
    ap.add_argument(
        "--probe",
        help="a Python file with `probe(tokenizer, Packed)`, which gives a function from `vectors` to a line to print",
    )
    ap.add_argument("--report-minutes", type=float, default=10)
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    random.seed(args.seed), np.random.seed(args.seed), torch.manual_seed(args.seed)
    os.makedirs(args.work, exist_ok=True), os.makedirs(args.out, exist_ok=True)

    tokenizer, packed, pair_languages = load_packed(args)
    vocab_size = tokenizer.get_vocab_size()
    print(
        f"vocabulary {vocab_size}, tokens",
        {name: len(texts.ids) for name, texts in packed.items()},
        flush=True,
    )
    probe = None
    if args.probe:
        names = {}
        exec(compile(open(args.probe).read(), args.probe, "exec"), names)
        probe = names["probe"](tokenizer, Packed)

    def report(vectors):
        if probe:
            print("   probe", probe(vectors), flush=True)

    bag, kept = Bag(vocab_size, args.hidden, args.heads), f"{args.work}/bag.pt"
    if os.path.exists(kept):
        state = torch.load(kept, weights_only=False)
        bag.load_state_dict(state["bag"])
        bag_done, related = state["done"], state["related"]
    else:
        sampler = Sampler(packed, pair_languages, {"left": np.arange(2)}, args.reach, args.seed)
        first = train_bag(
            bag,
            lambda: sampler.translations(args.bag_batch),
            args.bag_minutes * 0.1,
            args.bag_lr,
            args.bag_temperature,
            args.bag_drop,
            lambda step, seconds: None,
        )
        related = related_starts(bag.vectors, packed, args.documents)
        sampler = Sampler(packed, pair_languages, related, args.reach, args.seed + 1)
        shares = np.array(args.mix) / sum(args.mix)

        def draw():
            return (sampler.translations, sampler.neighbours, sampler.across)[
                sampler.random.choice(3, p=shares)
            ](args.bag_batch)

        then = train_bag(
            bag,
            draw,
            args.bag_minutes * 0.9,
            args.bag_lr,
            args.bag_temperature,
            args.bag_drop,
            lambda step, seconds: report(bag.vectors) if step % 500 == 0 else None,
        )
        bag_done = {
            "steps": first[0] + then[0],
            "tokens": first[1] + then[1],
            "minutes": args.bag_minutes,
        }
        torch.save({"bag": bag.state_dict(), "done": bag_done, "related": related}, kept)
    report(bag.vectors)

    model = Encoder(make_config(vocab_size, args.hidden, args.layers, args.heads))
    start_as_bag(model.body, bag, args.seed)
    model.eval()  # there is no dropout; for the library's own forward pass
    report(model.vectors)

    def report_and_save(done):
        report(model.vectors)
        save(model, bag_done, done, args)

    done = train_encoder(
        model,
        bag,
        Sampler(packed, pair_languages, related, args.reach, args.seed + 2),
        args,
        report_and_save,
    )
    report_and_save(done)


if __name__ == "__main__":
    main()
