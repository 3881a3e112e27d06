"""Texts for pretraining a small encoder: reading, the tokenizer, packed ids and sampling."""

import glob
import lzma
import os
import numpy as np
from tokenizers import (
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    decoders,
    processors,
    trainers,
)


SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]


PAD, CLS, SEP, UNK, MASK = range(5)


LENGTH = 256


def read_lines(path):
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file if line.strip()]


def read_corpus(folder):
    mono = {
        path.split(".")[-3]: read_lines(path)
        for path in sorted(glob.glob(f"{folder}/mono.*.txt.xz"))
    }
    pairs = [line.split("\t") for line in read_lines(f"{folder}/parallel.tsv.xz")]
    return mono, [pair for pair in pairs if len(pair) == 4]


def train_tokenizer(mono, pairs, vocab_size, characters):
    """Unigram with NFKC and Metaspace on the same number of characters per language (half as many of the denser ja, zh)."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()

    def sample():
        paired = {language: [] for language in mono}
        for first, second, x, y in pairs[::2]:
            for language, text in ((first, x), (second, y)):
                if len(text) > 40 or language in ("ja", "zh"):
                    paired[language].append(text)
        for language in mono:
            whole = characters // 2 if language in ("ja", "zh") else characters
            for source, share in ((mono[language], 0.6), (paired[language], 0.4)):
                left = whole * share
                for text in source[:: max(1, int(sum(map(len, source)) / left))]:
                    yield text[:400]
                    left -= len(text)
                    if left < 0:
                        break

    tokenizer.train_from_iterator(
        sample(),
        trainers.UnigramTrainer(
            vocab_size=vocab_size, special_tokens=SPECIALS, unk_token="[UNK]", show_progress=False
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    return tokenizer


class Packed:
    """Token ids of many texts in one array: [CLS] text [SEP], cut at `limit`."""

    def __init__(self, ids, offsets):
        self.ids, self.offsets = ids, offsets

    @staticmethod
    def of(tokenizer, texts, limit):
        ids, lengths = [], []
        for start in range(0, len(texts), 20000):
            for encoding in tokenizer.encode_batch(
                texts[start : start + 20000], add_special_tokens=False
            ):
                row = [CLS, *encoding.ids[: limit - 2], SEP]
                ids.append(np.asarray(row, np.uint16))
                lengths.append(len(row))
        return Packed(np.concatenate(ids), np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self):
        return len(self.offsets) - 1

    def __getitem__(self, i):
        return self.ids[self.offsets[i] : self.offsets[i + 1]]


def load_packed(args):
    """Tokenizer and packed texts, made once and kept in the work folder: {"en": …, "left": …, "right": …}, languages of the pairs."""
    path, kept = f"{args.work}/tokenizer.json", f"{args.work}/packed.npz"
    if not os.path.exists(kept):
        mono, pairs = read_corpus(args.corpus)
        if not os.path.exists(path):
            train_tokenizer(mono, pairs, args.vocab, 3_000_000).save(path)
        tokenizer = Tokenizer.from_file(path)
        arrays = {"pair_languages": np.array([[p[0], p[1]] for p in pairs])}
        for name, texts in (
            *mono.items(),
            ("left", [p[2] for p in pairs]),
            ("right", [p[3] for p in pairs]),
        ):
            packed = Packed.of(tokenizer, texts, args.length)
            arrays[f"{name}.ids"], arrays[f"{name}.offsets"] = packed.ids, packed.offsets
        np.savez(kept, **arrays)
    arrays = np.load(kept)
    names = sorted({key.split(".")[0] for key in arrays.files} - {"pair_languages"})
    return (
        Tokenizer.from_file(path),
        {name: Packed(arrays[f"{name}.ids"], arrays[f"{name}.offsets"]) for name in names},
        arrays["pair_languages"],
    )


class Sampler:
    """Draws batches of row pairs: translations, a sentence and the next ones of its document, a sentence and the translations of the next ones."""

    def __init__(self, packed, pair_languages, related, reach, seed):
        self.packed, self.reach, self.random = packed, reach, np.random.default_rng(seed)
        self.left, self.right = packed["left"], packed["right"]
        self.languages = sorted(set(related) - {"left"})
        enough = (np.diff(self.left.offsets) > 4) & (np.diff(self.right.offsets) > 4)
        length = (np.diff(self.left.offsets) + np.diff(self.right.offsets)).astype(float)
        weight = np.where(enough, np.minimum(length, 64) ** 0.5, 0)  # longer sentences say more
        for pair in np.unique(
            pair_languages, axis=0
        ):  # rare pairs of languages oftener than their share
            of = (pair_languages == pair).all(1)
            weight[of] *= weight[of].sum() ** -0.4
        self.pairs = np.cumsum(weight / weight.sum())
        self.related = related
        share = np.array([len(related[name]) for name in self.languages], float) ** 0.5
        self.share = share / share.sum()

    def translations(self, count):
        chosen = np.searchsorted(self.pairs, self.random.random(count)).clip(max=len(self.left) - 1)
        return [self.left[i] for i in chosen], [self.right[i] for i in chosen], chosen

    def neighbours(self, count):
        name = self.random.choice(self.languages, p=self.share)
        texts, starts = self.packed[name], self.related[name]
        chosen = self.random.choice(starts, count, replace=len(starts) < count)
        return [texts[i] for i in chosen], following(texts, chosen, self.reach), chosen // 8

    def across(self, count):
        chosen = self.random.choice(self.related["left"], count)
        return (
            [self.left[i] for i in chosen],
            following(self.right, chosen, self.reach),
            chosen // 8,
        )


def following(texts, chosen, reach):
    """The next `reach` rows of each chosen one, joined."""
    return [
        texts.ids[
            texts.offsets[min(i + 1, len(texts) - 1)] : texts.offsets[
                min(i + 1 + reach, len(texts))
            ]
        ]
        for i in chosen
    ]


def related_starts(vector_of, packed, documents, threshold=0.12, window=24):
    """
    Rows whose next rows come from the same document: where the similarity of neighbours, averaged over a window, lies
    above that of random rows of the language by `threshold`. Languages outside `documents` have single sentences only.
    """
    result = {}
    for name, texts in packed.items():
        if name != "left" and name not in documents:
            continue
        v = vector_of(texts)
        next_to = (v[:-1] * v[1:]).sum(1)
        if name == "left":
            w = vector_of(packed["right"])
            next_to = (v[:-1] * w[1:]).sum(1)
        order = np.random.default_rng(0).permutation(len(v) - 1)
        base = (v[:-1] * v[order]).sum(1).mean()
        smooth = np.convolve(next_to, np.ones(window) / window, "same") - base
        lengths = np.diff(texts.offsets)
        long_enough = lengths[:-1] > 8
        if name == "left":  # no word lists
            long_enough = (lengths[:-1] > 14) & (lengths[1:] > 14)
        begin = texts.ids[
            np.minimum(texts.offsets[:-1, None] + [[1, 2]], len(texts.ids) - 1)
        ].astype(np.int64) @ [65536, 1]
        in_order = (
            np.convolve(begin[:-1] == begin[1:], np.ones(window) / window, "same") > 0.25
        )  # lists sorted by the alphabet
        result[name] = np.flatnonzero((smooth > threshold) & long_enough & ~in_order)
        if len(result[name]) == 0:
            raise SystemExit(
                f"no neighbouring rows of {name} are alike: give --bag-minutes time, or leave {name} out of --documents"
            )
        print(
            f"neighbours {name}: {len(result[name])} of {len(texts)} rows",
            np.percentile(smooth, [10, 25, 50, 75, 90]).round(3),
            flush=True,
        )
    return result


def chunks(texts, size):
    for start in range(0, len(texts), size):
        yield [texts[i] for i in range(start, min(len(texts), start + size))]
