"""Writes the character classes that the `tokenizers` library uses, asked of the library itself, character by character.

It knows an older Unicode version than the JavaScript engines, so `\\p{P}` and `\\p{M}` would give other ids for rare characters.

What Unicode normalisation does is compared with the `node` on the path, which should be the newest there is.

    pip install tokenizers
    python tools/cases/make_unicode_sets.py > packages/data/src/tokenizer/unicode-sets.ts
"""
import json
import subprocess

import tokenizers
from tokenizers import normalizers, pre_tokenizers

punctuation = pre_tokenizers.Punctuation()
strip_accents = normalizers.StripAccents()
bert_accents = normalizers.BertNormalizer(
    clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False
)
bert_clean = normalizers.BertNormalizer(
    clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False
)

nfd, nfkd = normalizers.NFD(), normalizers.NFKD()


def forms(char):
    """Both decompositions, and whether the character is a mark that sorts before U+0345 (class 240)."""
    return [
        nfd.normalize_str(char),
        nfkd.normalize_str(char),
        nfd.normalize_str("\u0345" + char) != "\u0345" + nfd.normalize_str(char),
    ]


NODE = r"""
const out = {};
for (let point = 0; point < 0x110000; point += 1) {
  if (point >= 0xd800 && point < 0xe000) continue;
  const char = String.fromCodePoint(point), nfd = char.normalize("NFD");
  const all = [nfd, char.normalize("NFKD"), ("\u0345" + char).normalize("NFD") !== "\u0345" + nfd];
  if (all[0] !== char || all[1] !== char || all[2]) out[point] = all;
}
process.stdout.write(JSON.stringify(out));
"""
in_node = {
    chr(int(point)): all
    for point, all in json.loads(
        subprocess.run(["node", "-e", NODE], capture_output=True, check=True).stdout
    ).items()
}

SETS = {
    "PUNCTUATION": (
        "split off by `BertPreTokenizer` and `Punctuation`",
        lambda c: len(punctuation.pre_tokenize_str(f"a{c}a")) == 3,
    ),
    "COMBINING_MARKS": (
        "removed by `StripAccents`",
        lambda c: strip_accents.normalize_str(f"a{c}") == "a",
    ),
    "NONSPACING_MARKS": (
        "removed by `BertNormalizer` with `strip_accents`",
        lambda c: bert_accents.normalize_str(f"a{c}") == "a",
    ),
    "NOT_NORMALIZED": (
        "that NFC, NFD, NFKC and NFKD leave alone although newer Unicode versions do not",
        lambda c: forms(c) != in_node.get(c, [c, c, False]),
    ),
    "CLEANED": (
        "removed by `BertNormalizer` with `clean_text`",
        lambda c: bert_clean.normalize_str(f"a{c}a") == "aa",
    ),
}


def ranges(test):
    out = []
    for point in range(0x110000):
        if 0xD800 <= point < 0xE000 or not test(chr(point)):
            continue
        if out and (out[-1][1] == point - 1 or (point == 0xE000 and out[-1][1] == 0xD7FF)):
            out[-1][1] = point
        else:
            out.append([point, point])
    return " ".join(f"{a:x}" if a == b else f"{a:x}-{b:x}" for a, b in out)


print(
    f"/** Character classes of the `tokenizers` library {tokenizers.__version__} as hexadecimal ranges. Made by tools/cases/make_unicode_sets.py. */"
)
for name, (what, test) in SETS.items():
    words = ranges(test).split(" ")
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) > 150:
            lines.append(line)
            line = ""
        line += word + " "
    lines.append(line.rstrip())
    body = " +\n".join(f"  '{text}'" for text in lines)
    print(f"\n/** Characters {what}. */\nexport const {name} =\n{body};")
