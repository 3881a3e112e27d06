"""Writes what the `tokenizers` library makes of hard strings: its components one by one, and the fixture tokenizers as a whole.

    pip install tokenizers
    python tools/cases/make_tokenizer_cases.py > packages/data/src/tokenizer/tokenizer-cases.json
"""
import base64
import json
import pathlib
import random

import tokenizers
from tokenizers import (
    Regex,
    Tokenizer,
    decoders as D,
    models,
    normalizers as N,
    pre_tokenizers as P,
)

fixtures = pathlib.Path(__file__).parent.parent.parent / "packages/testing/fixtures/models"
random.seed(11)
NASTY = (
    "\0\1\7\t\n\r\x0b\x1c \x7f\x80\x85\xa0\xad\u0300\u0301\u0345\u115f\u1680\u180e\u200b\u200d\u2009\u2028\u2060\u2581\u3000\u3099\uff5e"
    "\uff9e\ufe0f\ufeff\ufffd\U0001f468\U0001f1e9\U0001f1ea\U0001f3fd\U00020000\U0002f800\U0001d400\u1e9e\u0130\u01c5\ufb01\u2460\u3314"
    "\uff76\u1100\u1161\uac01\u0e33\u0f73\u2126\xbd\xb2\u2163\u0660\u4e00\u32ff\u2e43\u0afaΣΑΣ_-'\"#@+$^`|<>~=.!?,;:()[]{}/\\0123456789"
)
WORDS = [
    "The",
    " headphones",
    "don't",
    "I'M",
    "Straße",
    "İstanbul",
    "音質はとても",
    "良い",
    "ｶﾀｶﾅ",
    "한국어",
    "العربية",
    "naïve",
    "café",
    "  ",
    "\r\n",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "[MASK]",
    "<s>",
    "</s>",
    "<mask>",
    "<|endoftext|>",
    "<extra_id_7>",
    "12345",
    "3.14",
    "ﬃ",
    "㌔",
]
texts = ["", " ", "a", "\n", "ΌΣΟΣ ΣΑΣ"] + [
    "".join(
        random.choice(WORDS)
        if random.random() < 0.45
        else random.choice(NASTY)
        if random.random() < 0.7
        else chr(
            random.choice(
                [
                    random.randrange(0x20, 0x3000),
                    random.randrange(0x3000, 0xD800),
                    random.randrange(0x10000, 0x2FFFF),
                ]
            )
        )
        for _ in range(random.randint(1, 10))
    )
    for _ in range(75)
]

deberta = json.loads((fixtures / "deberta-v2/tokenizer.json").read_text())
charsmap = next(
    n["precompiled_charsmap"]
    for n in deberta["normalizer"]["normalizers"]
    if n["type"] == "Precompiled"
)

holder = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))


def describe(part, component):
    setattr(holder, part, component)
    described = json.loads(holder.to_str())[part]
    return (
        {**described, "precompiled_charsmap": "deberta-v2"}
        if described["type"] == "Precompiled"
        else described
    )


normalizers = [
    N.NFC(),
    N.NFD(),
    N.NFKC(),
    N.NFKD(),
    N.Lowercase(),
    N.StripAccents(),
    N.Strip(),
    N.Strip(left=False),
    N.Nmt(),
    N.Prepend("▁"),
    N.ByteLevel(),
    N.Replace(" ", "▁"),
    N.Replace(Regex(r"\s{2,}"), "$&"),
    N.Precompiled(base64.b64decode(charsmap)),
    N.BertNormalizer(),
    N.BertNormalizer(lowercase=False),
    N.BertNormalizer(clean_text=False, strip_accents=False),
    N.BertNormalizer(handle_chinese_chars=False, lowercase=False, strip_accents=True),
    N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase(), N.Replace(Regex(" {2,}"), " ")]),
]
gpt4 = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
gpt4 += r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
pre_tokenizers = [
    P.Metaspace(),
    P.Metaspace(prepend_scheme="never"),
    P.Metaspace(prepend_scheme="first", split=False),
    P.ByteLevel(),
    P.ByteLevel(add_prefix_space=False),
    P.ByteLevel(add_prefix_space=False, use_regex=False),
    P.BertPreTokenizer(),
    P.WhitespaceSplit(),
    P.Punctuation(),
    P.Punctuation("merged_with_next"),
    P.Punctuation("contiguous"),
    P.Digits(),
    P.Digits(individual_digits=True),
    P.CharDelimiterSplit("-"),
    P.FixedLength(3),
    P.Split(" ", "merged_with_previous"),
    P.Split(" ", "merged_with_next"),
    P.Split(" ", "removed"),
    P.Split(Regex(r"\p{L}+"), "isolated"),
    P.Split(Regex(r"\p{L}+"), "removed", invert=True),
    P.Split(Regex(gpt4), "isolated"),
    P.Sequence([P.WhitespaceSplit(), P.Metaspace(prepend_scheme="first")]),
]
pieces = [
    ["▁The", "▁", "head", "phones", "▁"],
    ["▁▁a", "b▁c"],
    ["<0xE9>", "<0x9F>", "<0xB3>", "a", "<0xE9>"],
    ["un", "##aff", "##able", "!"],
    ["ĠThe", "Ġna", "Ã¯", "ve", "é"],
    [],
]
decoders = [
    D.Metaspace(),
    D.Metaspace(prepend_scheme="never"),
    D.ByteFallback(),
    D.WordPiece(),
    D.WordPiece(cleanup=False),
    D.ByteLevel(),
    D.Fuse(),
    D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)]),
]

families = {}
for folder in sorted(p for p in fixtures.iterdir() if (p / "tokenizer.json").exists()):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encoded = [tokenizer.encode(text) for text in texts]
    pairs = [(texts[i], texts[-1 - i], 5 + i) for i in range(5, 17)]
    cut = []
    for a, b, length in pairs:
        tokenizer.enable_truncation(length)
        one = tokenizer.encode(a, b)
        cut.append(
            {"text": a, "pair": b, "maxLength": length, "ids": one.ids, "typeIds": one.type_ids}
        )
    tokenizer.no_truncation()
    families[folder.name] = {
        "ids": [e.ids for e in encoded],
        "decoded": [tokenizer.decode(e.ids) for e in encoded],
        "pairs": cut,
    }

print(
    json.dumps(
        {
            "about": f"Made by tools/cases/make_tokenizer_cases.py with tokenizers {tokenizers.__version__}",
            "texts": texts,
            "normalizers": [
                {"json": describe("normalizer", n), "expected": [n.normalize_str(t) for t in texts]}
                for n in normalizers
            ],
            "preTokenizers": [
                {
                    "json": describe("pre_tokenizer", p),
                    "expected": [[w for w, _ in p.pre_tokenize_str(t)] for t in texts],
                }
                for p in pre_tokenizers
            ],
            "pieces": pieces,
            "decoders": [
                {"json": describe("decoder", d), "expected": [d.decode(p) for p in pieces]}
                for d in decoders
            ],
            "families": families,
        }
    )
)
