"""Makes packages/models/test/parameter-count-cases.json: python tools/cases/make_count_cases.py

Sizes of well-known checkpoints with their published numbers of parameters: what the hub shows of a checkpoint's safetensors, or its model card
says; a tied output layer counts once. transformers' own models of these sizes are counted, too, and those that differ are named: of flan-T5 and
mT5, whose output layers transformers 5 takes for tied. Nothing is downloaded and no weight is made.
"""
import json
from pathlib import Path

import torch
import transformers as tf

OUT = Path(__file__).resolve().parents[2] / "packages/models/test/parameter-count-cases.json"
CLASSES = {
    "none": tf.AutoModel,
    "causal-lm": tf.AutoModelForCausalLM,
    "seq2seq-lm": tf.AutoModelForSeq2SeqLM,
}


def llama(hidden, intermediate, layers, heads, kv, vocab, tied=False, **more):
    return {
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "vocab_size": vocab,
        "tie_word_embeddings": tied,
        **more,
    }


def sized(model_type, *sizes, **more):
    return {**llama(*sizes, **more), "model_type": model_type}


def encoder(model_type, vocab, **more):
    return {"model_type": model_type, "vocab_size": vocab, **more}


CASES = [
    ("openai-community/gpt2", "causal-lm", {"model_type": "gpt2"}, 124_439_808),
    (
        "openai-community/gpt2-xl",
        "causal-lm",
        {"model_type": "gpt2", "n_embd": 1600, "n_layer": 48, "n_head": 25},
        1_557_611_200,
    ),
    ("google-bert/bert-base-uncased", "none", encoder("bert", 30522), 109_482_240),
    ("google-bert/bert-base-cased", "none", encoder("bert", 28996), 108_310_272),
    (
        "FacebookAI/roberta-base",
        "none",
        encoder("roberta", 50265, type_vocab_size=1, max_position_embeddings=514),
        124_645_632,
    ),
    (
        "FacebookAI/xlm-roberta-base",
        "none",
        encoder("xlm-roberta", 250002, type_vocab_size=1, max_position_embeddings=514),
        278_043_648,
    ),
    ("distilbert/distilbert-base-uncased", "none", encoder("distilbert", 30522), 66_362_880),
    (
        "albert/albert-base-v2",
        "none",
        encoder(
            "albert", 30000, hidden_size=768, num_attention_heads=12, intermediate_size=3072
        ),
        11_683_584,
    ),
    (
        "google/electra-base-discriminator",
        "none",
        encoder(
            "electra",
            30522,
            embedding_size=768,
            hidden_size=768,
            intermediate_size=3072,
            num_attention_heads=12,
        ),
        108_891_648,
    ),
    ("microsoft/mpnet-base", "none", encoder("mpnet", 30527, max_position_embeddings=514), 109_486_464),
    ("answerdotai/ModernBERT-base", "none", encoder("modernbert", 50368), 149_014_272),
    (
        "microsoft/deberta-v3-base",
        "none",
        encoder(
            "deberta-v2",
            128100,
            hidden_size=768,
            num_hidden_layers=12,
            num_attention_heads=12,
            intermediate_size=3072,
            type_vocab_size=0,
            relative_attention=True,
            position_buckets=256,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
            pos_att_type=["p2c", "c2p"],
            position_biased_input=False,
            max_relative_positions=-1,
        ),
        183_831_552,
    ),
    (
        "google-t5/t5-base",
        "seq2seq-lm",
        {"model_type": "t5", "d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12},
        222_903_552,
    ),
    (
        "google/flan-t5-base",
        "seq2seq-lm",
        {
            "model_type": "t5",
            "d_model": 768,
            "d_ff": 2048,
            "num_layers": 12,
            "num_heads": 12,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
        },
        247_577_856,
    ),
    (
        "google/mt5-small",
        "seq2seq-lm",
        {"model_type": "mt5", "tie_word_embeddings": False},
        300_176_768,
    ),
    (
        "facebook/bart-base",
        "seq2seq-lm",
        {
            "model_type": "bart",
            "d_model": 768,
            "encoder_layers": 6,
            "decoder_layers": 6,
            "encoder_attention_heads": 12,
            "decoder_attention_heads": 12,
            "encoder_ffn_dim": 3072,
            "decoder_ffn_dim": 3072,
        },
        139_420_416,
    ),
    ("facebook/bart-large", "seq2seq-lm", {"model_type": "bart"}, 406_291_456),
    (
        "facebook/mbart-large-50",
        "seq2seq-lm",
        {"model_type": "mbart", "vocab_size": 250054},
        610_879_488,
    ),
    (
        "facebook/nllb-200-distilled-600M",
        "seq2seq-lm",
        {
            "model_type": "m2m_100",
            "vocab_size": 256206,
            "encoder_ffn_dim": 4096,
            "decoder_ffn_dim": 4096,
        },
        615_073_792,
    ),
    ("meta-llama/Llama-2-7b-hf", "causal-lm", llama(4096, 11008, 32, 32, 32, 32000), 6_738_415_616),
    ("meta-llama/Meta-Llama-3-8B", "causal-lm", llama(4096, 14336, 32, 32, 8, 128256), 8_030_261_248),
    ("meta-llama/Meta-Llama-3-70B", "causal-lm", llama(8192, 28672, 80, 64, 8, 128256), 70_553_706_496),
    (
        "meta-llama/Llama-3.2-1B",
        "causal-lm",
        llama(2048, 8192, 16, 32, 8, 128256, tied=True),
        1_235_814_400,
    ),
    (
        "meta-llama/Llama-3.2-3B",
        "causal-lm",
        llama(3072, 8192, 28, 24, 8, 128256, tied=True),
        3_212_749_824,
    ),
    ("mistralai/Mistral-7B-v0.1", "causal-lm", sized("mistral", 4096, 14336, 32, 32, 8, 32000), 7_241_732_096),
    ("mistralai/Mistral-7B-v0.3", "causal-lm", sized("mistral", 4096, 14336, 32, 32, 8, 32768), 7_248_023_552),
    (
        "mistralai/Mixtral-8x7B-v0.1",
        "causal-lm",
        sized("mixtral", 4096, 14336, 32, 32, 8, 32000),
        46_702_792_704,
    ),
    ("Qwen/Qwen2.5-0.5B", "causal-lm", sized("qwen2", 896, 4864, 24, 14, 2, 151936, tied=True), 494_032_768),
    ("Qwen/Qwen2.5-7B", "causal-lm", sized("qwen2", 3584, 18944, 28, 28, 4, 152064), 7_615_616_512),
    (
        "Qwen/Qwen3-0.6B",
        "causal-lm",
        sized("qwen3", 1024, 3072, 28, 16, 8, 151936, tied=True, head_dim=128),
        596_049_920,
    ),
    ("Qwen/Qwen3-8B", "causal-lm", sized("qwen3", 4096, 12288, 36, 32, 8, 151936, head_dim=128), 8_190_735_360),
    (
        "Qwen/Qwen3-30B-A3B",
        "causal-lm",
        sized(
            "qwen3_moe",
            2048,
            6144,
            48,
            32,
            4,
            151936,
            head_dim=128,
            num_experts=128,
            num_experts_per_tok=8,
            moe_intermediate_size=768,
        ),
        30_532_122_624,
    ),
    (
        "Qwen/Qwen1.5-MoE-A2.7B",
        "causal-lm",
        sized("qwen2_moe", 2048, 5632, 24, 16, 16, 151936, num_experts_per_tok=4),
        14_315_784_192,
    ),
    (
        "google/gemma-2b",
        "causal-lm",
        sized("gemma", 2048, 16384, 18, 8, 1, 256000, tied=True, head_dim=256),
        2_506_172_416,
    ),
    (
        "google/gemma-2-2b",
        "causal-lm",
        sized("gemma2", 2304, 9216, 26, 8, 4, 256000, tied=True, head_dim=256),
        2_614_341_888,
    ),
    (
        "google/gemma-2-9b",
        "causal-lm",
        sized("gemma2", 3584, 14336, 42, 16, 8, 256000, tied=True, head_dim=256),
        9_241_705_984,
    ),
    (
        "google/gemma-3-1b-pt",
        "causal-lm",
        sized("gemma3_text", 1152, 6912, 26, 4, 1, 262144, tied=True, head_dim=256),
        999_885_952,
    ),
    (
        "microsoft/Phi-3-mini-4k-instruct",
        "causal-lm",
        sized("phi3", 3072, 8192, 32, 32, 32, 32064, pad_token_id=32000),
        3_821_079_552,
    ),
    ("microsoft/phi-2", "causal-lm", sized("phi", 2560, 10240, 32, 32, 32, 51200), 2_779_683_840),
    (
        "EleutherAI/pythia-410m",
        "causal-lm",
        {
            "model_type": "gpt_neox",
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "vocab_size": 50304,
        },
        405_334_016,
    ),
    (
        "EleutherAI/gpt-neo-125m",
        "causal-lm",
        {
            "model_type": "gpt_neo",
            "hidden_size": 768,
            "num_layers": 12,
            "num_heads": 12,
            "attention_types": [[["global", "local"], 6]],
        },
        125_198_592,
    ),
    ("facebook/opt-125m", "causal-lm", {"model_type": "opt"}, 125_239_296),
    (
        "facebook/opt-350m",
        "causal-lm",
        {
            "model_type": "opt",
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "ffn_dim": 4096,
            "word_embed_proj_dim": 512,
            "do_layer_norm_before": False,
        },
        331_196_416,
    ),
    (
        "bigscience/bloom-560m",
        "causal-lm",
        {"model_type": "bloom", "vocab_size": 250880, "hidden_size": 1024, "n_layer": 24, "n_head": 16},
        559_214_592,
    ),
    ("mosaicml/mpt-7b", "causal-lm", {"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32, "vocab_size": 50432}, 6_649_286_656),
    (
        "bigcode/starcoder2-3b",
        "causal-lm",
        sized("starcoder2", 3072, 12288, 30, 24, 2, 49152, tied=True, use_bias=True),
        3_030_371_328,
    ),
    (
        "allenai/OLMo-2-0425-1B",
        "causal-lm",
        sized("olmo2", 2048, 8192, 16, 16, 16, 100352),
        1_484_916_736,
    ),
    (
        "allenai/OLMoE-1B-7B-0924",
        "causal-lm",
        sized("olmoe", 2048, 1024, 16, 16, 16, 50304),
        6_919_161_856,
    ),
    ("HuggingFaceTB/SmolLM3-3B", "causal-lm", sized("smollm3", 2048, 11008, 36, 16, 4, 128256, tied=True), 3_075_098_624),
    (
        "ibm-granite/granite-3.1-2b-base",
        "causal-lm",
        sized("granite", 2048, 8192, 40, 32, 8, 49155, tied=True),
        2_533_531_648,
    ),
    ("openai/gpt-oss-20b", "causal-lm", {"model_type": "gpt_oss", "num_hidden_layers": 24, "num_local_experts": 32}, 20_914_757_184),
    ("openai/gpt-oss-120b", "causal-lm", {"model_type": "gpt_oss"}, 116_829_156_672),
    ("deepseek-ai/DeepSeek-V3-Base", "causal-lm", {"model_type": "deepseek_v3"}, 671_026_404_352),
]


def counted(head, config):
    with torch.device("meta"):
        model = CLASSES[head].from_config(tf.AutoConfig.for_model(**config))
    return sum(p.numel() for p in model.parameters())


def main():
    cases = []
    for name, head, config, published in CASES:
        found = counted(head, dict(config))
        if found != published:
            print(f"{name}: transformers counts {found:,}, published are {published:,}")
        cases.append({"name": name, "head": head, "config": config, "parameters": published})
    OUT.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
