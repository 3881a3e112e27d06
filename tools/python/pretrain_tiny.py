"""Pre-trains the small multilingual encoder of the example: DeBERTa-v2 as mDeBERTa-v3, on sentences and translations.

Everything is learnt with one question: which of the batch belongs to this sentence, its translation or a sentence that
stood near it (InfoNCE with in-batch negatives, as LaBSE, Feng et al. 2020)? Translations put languages into one space;
sentences of one document share a topic.

 1. tokenizer: Unigram with NFKC and Metaspace.
 2. bag: the embedding table and the first layer's attention of the first token alone, all other parameters left out. It
    sees millions of tokens a minute, because everything but a weighted sum is computed once per token of the vocabulary.
 3. encoder: all layers, started so that the first token's state is exactly the bag's; InfoNCE on both sentences of a
    pair, one of them with masked tokens, which are predicted as well (of the tokens of the batch and a sample).

Corpus folder: mono.<lang>.txt.xz (a sentence per line, neighbours mostly of one document) and parallel.tsv.xz (lang1,
lang2, text1, text2, likewise). Output folder: config.json, model.safetensors (bf16), tokenizer.json,
tokenizer_config.json, training.json. Work folder: state to go on from after an interruption; stages done are kept.

    python pretrain_tiny.py --corpus DIR --work DIR --out DIR --bag-minutes 8 --minutes 75 --threads 2

Time is counted as this process's own share (the clock stops while it is stopped). Needs torch, transformers, tokenizers, safetensors, numpy.
"""
import argparse, glob, json, lzma, math, os, random, time
import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, decoders, processors, trainers
from transformers import DebertaV2Config, DebertaV2Model

SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
PAD, CLS, SEP, UNK, MASK = range(5)
LENGTH = 256


# ---------------------------------------------------------------- text

def read_lines(path):
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file if line.strip()]


def read_corpus(folder):
    mono = {path.split(".")[-3]: read_lines(path) for path in sorted(glob.glob(f"{folder}/mono.*.txt.xz"))}
    pairs = [line.split("\t") for line in read_lines(f"{folder}/parallel.tsv.xz")]
    return mono, [pair for pair in pairs if len(pair) == 4]


def train_tokenizer(mono, pairs, vocab_size, characters):
    """Unigram with NFKC and Metaspace on the same number of characters per language (half as many of the denser ja, zh)."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
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
                for text in source[::max(1, int(sum(map(len, source)) / left))]:
                    yield text[:400]
                    left -= len(text)
                    if left < 0:
                        break

    tokenizer.train_from_iterator(sample(), trainers.UnigramTrainer(vocab_size=vocab_size, special_tokens=SPECIALS, unk_token="[UNK]", show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)])
    return tokenizer


class Packed:
    """Token ids of many texts in one array: [CLS] text [SEP], cut at `limit`."""

    def __init__(self, ids, offsets):
        self.ids, self.offsets = ids, offsets

    @staticmethod
    def of(tokenizer, texts, limit):
        ids, lengths = [], []
        for start in range(0, len(texts), 20000):
            for encoding in tokenizer.encode_batch(texts[start:start + 20000], add_special_tokens=False):
                row = [CLS, *encoding.ids[:limit - 2], SEP]
                ids.append(np.asarray(row, np.uint16))
                lengths.append(len(row))
        return Packed(np.concatenate(ids), np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self):
        return len(self.offsets) - 1

    def __getitem__(self, i):
        return self.ids[self.offsets[i]:self.offsets[i + 1]]


def load_packed(args):
    """Tokenizer and packed texts, made once and kept in the work folder: {"en": …, "left": …, "right": …}, languages of the pairs."""
    path, kept = f"{args.work}/tokenizer.json", f"{args.work}/packed.npz"
    if not os.path.exists(kept):
        mono, pairs = read_corpus(args.corpus)
        if not os.path.exists(path):
            train_tokenizer(mono, pairs, args.vocab, 3_000_000).save(path)
        tokenizer = Tokenizer.from_file(path)
        arrays = {"pair_languages": np.array([[p[0], p[1]] for p in pairs])}
        for name, texts in (*mono.items(), ("left", [p[2] for p in pairs]), ("right", [p[3] for p in pairs])):
            packed = Packed.of(tokenizer, texts, args.length)
            arrays[f"{name}.ids"], arrays[f"{name}.offsets"] = packed.ids, packed.offsets
        np.savez(kept, **arrays)
    arrays = np.load(kept)
    names = sorted({key.split(".")[0] for key in arrays.files} - {"pair_languages"})
    return Tokenizer.from_file(path), {name: Packed(arrays[f"{name}.ids"], arrays[f"{name}.offsets"]) for name in names}, arrays["pair_languages"]


# ---------------------------------------------------------------- which pairs are asked for

class Sampler:
    """Draws batches of row pairs: translations, neighbours of one language, neighbours across a pair's languages."""

    def __init__(self, packed, pair_languages, related, seed):
        self.packed, self.random = packed, np.random.default_rng(seed)
        self.left, self.right = packed["left"], packed["right"]
        self.languages = sorted(set(packed) - {"left", "right"})
        enough = (np.diff(self.left.offsets) > 4) & (np.diff(self.right.offsets) > 4)
        length = (np.diff(self.left.offsets) + np.diff(self.right.offsets)).astype(float)
        weight = np.where(enough, np.minimum(length, 64) ** 0.5, 0)  # longer sentences say more
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
        other = (chosen + self.random.integers(1, 4, count)).clip(max=len(texts) - 1)
        return [texts[i] for i in chosen], [texts[i] for i in other], chosen // 4

    def across(self, count):
        chosen = self.random.choice(self.related["left"], count)
        other = (chosen + self.random.integers(1, 3, count)).clip(max=len(self.right) - 1)
        return [self.left[i] for i in chosen], [self.right[i] for i in other], chosen // 4


def related_starts(vector_of, packed, threshold=0.12, window=24):
    """
    Rows whose next rows come from the same document: where the similarity of neighbours, averaged over a window, lies
    above that of random rows of the language by `threshold`.
    """
    result = {}
    for name, texts in packed.items():
        if name == "right":
            continue
        v = vector_of(texts)
        next_to = (v[:-1] * v[1:]).sum(1)
        if name == "left":
            w = vector_of(packed["right"])
            next_to = (v[:-1] * w[1:]).sum(1)
        order = np.random.default_rng(0).permutation(len(v) - 1)
        base = (v[:-1] * v[order]).sum(1).mean()
        smooth = np.convolve(next_to, np.ones(window) / window, "same") - base
        long_enough = np.diff(texts.offsets)[:-1] > 8
        result[name] = np.flatnonzero((smooth > threshold) & long_enough)
        print(f"neighbours {name}: {len(result[name])} of {len(texts)} rows", np.percentile(smooth, [10, 25, 50, 75, 90]).round(3), flush=True)
    return result


def ranking_loss(a, b, chosen, temperature):
    """InfoNCE both ways; a row drawn twice is never its own negative. Returns the loss and the share ranked first."""
    scores = a @ b.T / temperature
    same = torch.from_numpy(chosen[:, None] == chosen[None, :]).fill_diagonal_(False)
    scores = scores.masked_fill(same, -1e4)
    target = torch.arange(len(chosen))
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2, (scores.argmax(1) == target).float().mean().item()


# ---------------------------------------------------------------- bag

class Bag(torch.nn.Module):
    """The first token after the first layer's attention, with a query that does not depend on the content: a weighted mean of values."""

    def __init__(self, vocab_size, hidden, heads):
        super().__init__()
        self.heads = heads
        self.table = torch.nn.Parameter(torch.randn(vocab_size, hidden) * 0.1)
        self.norm = torch.nn.LayerNorm(hidden, eps=1e-7)
        self.query = torch.nn.Parameter(torch.zeros(heads, hidden))  # the key projection's transpose times the query, scaled
        self.value = torch.nn.Linear(hidden, hidden)
        self.out = torch.nn.Linear(hidden, hidden)
        self.out_norm = torch.nn.LayerNorm(hidden, eps=1e-7)
        for linear, scale in ((self.value, 1), (self.out, 3)):
            torch.nn.init.eye_(linear.weight).data.mul_(scale)
            torch.nn.init.zeros_(linear.bias)

    def forward(self, rows, drop=0.0):
        ids = torch.from_numpy(np.concatenate(rows).astype(np.int64))
        offsets = torch.from_numpy(np.cumsum([0] + [len(row) for row in rows[:-1]]))
        kinds, index = torch.unique(ids, return_inverse=True)
        x = self.norm(F.embedding(kinds, self.table))
        weight = torch.exp(x @ self.query.T)[index]  # [tokens, heads]
        if drop:
            weight = weight * ((torch.rand(len(ids), 1) >= drop) | (ids <= SEP)[:, None])
        values = self.value(x).view(len(kinds), self.heads, -1)
        pooled = torch.cat([
            F.embedding_bag(index, values[:, head].contiguous(), offsets, mode="sum", per_sample_weights=weight[:, head].contiguous())
            / F.embedding_bag(index, torch.ones(len(kinds), 1), offsets, mode="sum", per_sample_weights=weight[:, head].contiguous())
            for head in range(self.heads)], 1)
        return self.out_norm(self.norm(self.table[CLS]) + self.out(pooled))

    @torch.no_grad()
    def vectors(self, texts, batch=4096):
        return np.concatenate([F.normalize(self(rows), dim=-1).numpy() for rows in chunks(texts, batch)])


def chunks(texts, size):
    for start in range(0, len(texts), size):
        yield [texts[i] for i in range(start, min(len(texts), start + size))]


def train_bag(bag, draw, minutes, rate, temperature, drop, report, seed=0):
    """`draw()` gives (rows, rows, chosen). Learning rate falls linearly over the processor's minutes."""
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW([
        {"params": [bag.table], "base": rate, "weight_decay": 0.0},
        {"params": [p for n, p in bag.named_parameters() if n != "table"], "base": rate / 3, "weight_decay": 0.0}], lr=rate, betas=(0.9, 0.99), fused=True)
    clock, step, tokens, losses = Clock(), 0, 0, []
    while (progress := clock.seconds() / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * min(1, (step + 1) / 30) * (1 - 0.98 * progress)
        a, b, chosen = draw()
        vectors = F.normalize(bag([*a, *b], drop), dim=-1)
        loss, hit = ranking_loss(vectors[:len(a)], vectors[len(a):], chosen, temperature)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        tokens += sum(map(len, a)) + sum(map(len, b))
        losses.append((loss.item(), hit))
        step += 1
        if step % 100 == 0:
            mean = np.mean(losses[-100:], 0)
            print(f"bag step {step} {clock.seconds():.0f}s {tokens / 1e6:.1f}M tokens loss {mean[0]:.3f} ranked first {mean[1]:.3f}", flush=True)
            report(step, clock.seconds())
    return step, tokens


class Clock:
    """Seconds of this process's life without the pauses in which it was stopped (steps longer than 20 s count as 2)."""

    def __init__(self, before=0.0):
        self.total, self.last = before, time.time()

    def seconds(self):
        now = time.time()
        passed = now - self.last
        self.total += passed if passed < 20 else 2
        self.last = now
        return self.total
