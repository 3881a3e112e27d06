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
import argparse, glob, json, lzma, math, os, random, time
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import torch
import torch.nn.functional as F
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
from transformers import DebertaV2Config, DebertaV2Model

SPECIALS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
PAD, CLS, SEP, UNK, MASK = range(5)
LENGTH = 256


# ---------------------------------------------------------------- text


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


# ---------------------------------------------------------------- which pairs are asked for


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


def ranking_loss(a, b, chosen, temperature):
    """InfoNCE both ways; a row drawn twice is never its own negative. Returns the loss and the share ranked first."""
    scores = a @ b.T / temperature
    same = torch.from_numpy(chosen[:, None] == chosen[None, :]).fill_diagonal_(False)
    scores = scores.masked_fill(same, -1e4)
    target = torch.arange(len(chosen))
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2, (
        scores.argmax(1) == target
    ).float().mean().item()


# ---------------------------------------------------------------- bag


class Bag(torch.nn.Module):
    """The first token after the first layer's attention, with a query that does not depend on the content: a weighted mean of values."""

    def __init__(self, vocab_size, hidden, heads):
        super().__init__()
        self.heads = heads
        self.table = torch.nn.Parameter(torch.randn(vocab_size, hidden) * 0.1)
        self.norm = torch.nn.LayerNorm(hidden, eps=1e-7)
        self.query = torch.nn.Parameter(
            torch.zeros(heads, hidden)
        )  # the key projection's transpose times the query, scaled
        self.value = torch.nn.Linear(hidden, hidden)
        self.out = torch.nn.Linear(hidden, hidden)
        self.out_norm = torch.nn.LayerNorm(
            hidden, eps=1e-7, elementwise_affine=False
        )  # so that the norms of later layers change nothing
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
        pooled = torch.cat(
            [
                F.embedding_bag(
                    index,
                    values[:, head].contiguous(),
                    offsets,
                    mode="sum",
                    per_sample_weights=weight[:, head].contiguous(),
                )
                / F.embedding_bag(
                    index,
                    torch.ones(len(kinds), 1),
                    offsets,
                    mode="sum",
                    per_sample_weights=weight[:, head].contiguous(),
                )
                for head in range(self.heads)
            ],
            1,
        )
        return self.out_norm(self.norm(self.table[CLS]) + self.out(pooled))

    @torch.no_grad()
    def vectors(self, texts, batch=4096):
        return np.concatenate(
            [F.normalize(self(rows), dim=-1).numpy() for rows in chunks(texts, batch)]
        )


def chunks(texts, size):
    for start in range(0, len(texts), size):
        yield [texts[i] for i in range(start, min(len(texts), start + size))]


def train_bag(bag, draw, minutes, rate, temperature, drop, report, seed=0):
    """`draw()` gives (rows, rows, chosen). Learning rate falls linearly over the processor's minutes."""
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(
        [
            {"params": [bag.table], "base": rate, "weight_decay": 0.0},
            {
                "params": [p for n, p in bag.named_parameters() if n != "table"],
                "base": rate / 3,
                "weight_decay": 0.0,
            },
        ],
        lr=rate,
        betas=(0.9, 0.99),
        fused=True,
    )
    clock, step, tokens, losses = Clock(), 0, 0, []
    while (progress := clock.seconds() / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * min(1, (step + 1) / 30) * (1 - 0.98 * progress)
        a, b, chosen = draw()
        vectors = F.normalize(bag([*a, *b], drop), dim=-1)
        loss, hit = ranking_loss(vectors[: len(a)], vectors[len(a) :], chosen, temperature)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        tokens += sum(map(len, a)) + sum(map(len, b))
        losses.append((loss.item(), hit))
        step += 1
        if step % 100 == 0:
            mean = np.mean(losses[-100:], 0)
            print(
                f"bag step {step} {clock.seconds():.0f}s {tokens / 1e6:.1f}M tokens loss {mean[0]:.3f} ranked first {mean[1]:.3f}",
                flush=True,
            )
            report(step, clock.seconds())
    return step, tokens


class Clock:
    """Seconds of this process's life, in which a pause of more than `longest` seconds (it was stopped) counts as 2."""

    def __init__(self, before=0.0, longest=20.0):
        self.total, self.last, self.longest = before, time.time(), longest

    def seconds(self):
        now = time.time()
        passed = now - self.last
        self.total += passed if passed < self.longest else 2
        self.last = now
        return self.total


# ---------------------------------------------------------------- encoder


def make_config(vocab_size, hidden, layers, heads):
    return DebertaV2Config(
        vocab_size=vocab_size,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=LENGTH,
        relative_attention=True,
        position_buckets=64,
        max_relative_positions=-1,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
        layer_norm_eps=1e-7,
        pad_token_id=PAD,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


@torch.no_grad()
def start_as_bag(body, bag, seed=0):
    """
    Sets the encoder so that its first token's state is the bag's, nearly. The scores of layer 0 are
    (q·k + q·K(r) + k·Q(r)) / sqrt(3 d) with Q's bias u and weights near 0, so both the first and last term give u·k:
    K's rows along u become the bag's query times sqrt(3 d) / (2 |u|). Later layers add little to what they are given.
    """
    torch.manual_seed(seed)
    body.embeddings.word_embeddings.weight.copy_(bag.table)
    body.embeddings.LayerNorm.load_state_dict(bag.norm.state_dict())
    body.encoder.LayerNorm.weight.fill_(0.1)
    hidden, heads = bag.table.shape[1], bag.heads
    size = hidden // heads
    for layer in body.encoder.layer:
        own = layer.attention.self
        for linear in (own.query_proj, own.key_proj, own.value_proj):
            torch.nn.init.normal_(linear.weight, 0, 0.03)
        for linear in (layer.attention.output.dense, layer.output.dense):
            torch.nn.init.normal_(linear.weight, 0, 0.004)
        torch.nn.init.normal_(layer.intermediate.dense.weight, 0, 0.04)
    attention = body.encoder.layer[0].attention
    own = attention.self
    own.value_proj.load_state_dict(bag.value.state_dict())
    attention.output.dense.load_state_dict(bag.out.state_dict())
    torch.nn.init.normal_(own.query_proj.weight, 0, 0.004)
    for head in range(heads):
        rows = slice(head * size, head * size + size)
        u = F.normalize(torch.randn(size), dim=0)
        own.query_proj.bias[rows] = 2 * u
        key = own.key_proj.weight[rows]
        key += torch.outer(u, bag.query[head] * math.sqrt(3 * size) / 4 - u @ key)


class Encoder(torch.nn.Module):
    """DebertaV2Model's parameters with a forward pass that is fast on a CPU in bfloat16, and a head for masked tokens."""

    def __init__(self, config):
        super().__init__()
        self.body, self.config = DebertaV2Model(config), config
        self.dense = torch.nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = torch.nn.LayerNorm(config.hidden_size)
        self.bias = torch.nn.Parameter(torch.zeros(config.vocab_size))

    def positions(self, width):
        """Normalised relative embeddings of i - j = width-1 … -(width-1), [2 width - 1, hidden]."""
        c = self.config
        distance = torch.arange(width - 1, -width, -1)
        half = c.position_buckets // 2
        far = (
            half
            + torch.ceil(
                torch.log(distance.abs().clamp(min=1) / half)
                / math.log((c.max_position_embeddings - 1) / half)
                * (half - 1)
            )
        ) * distance.sign()
        bucket = torch.where(distance.abs() < half, distance, far.long()) + c.position_buckets
        table = self.body.encoder.LayerNorm(self.body.encoder.rel_embeddings.weight)
        return table[bucket.clamp(0, 2 * c.position_buckets - 1)]

    def forward(self, ids, table, dtype=torch.bfloat16):
        """ids [B, L] index into `table` (normalised embeddings of the batch's tokens), -1 is padding. Returns states [B, L, hidden]."""
        batch, width = ids.shape
        c = self.config
        heads, size = c.num_attention_heads, c.hidden_size // c.num_attention_heads
        there = ids >= 0
        x = F.embedding(ids.clamp(min=0), table).to(dtype)
        mask = torch.zeros(batch, 1, width, dtype=dtype).masked_fill(~there[:, None, :], -1e4)
        relative = self.positions(width).to(dtype)
        scale = 1 / math.sqrt(3 * size)

        def linear(module, v):
            return F.linear(v, module.weight.to(dtype), module.bias.to(dtype))

        def norm(module, v):
            return F.layer_norm(
                v, v.shape[-1:], module.weight.to(dtype), module.bias.to(dtype), module.eps
            )

        def by_head(v):
            """[B, L, hidden] to [H, B, L, d]."""
            return v.unflatten(-1, (heads, size)).movedim(-2, 0).contiguous()

        def distances(v, p):
            """[H, B, L, d] times [H, 2 L - 1, d] to [H, B, L, L]: of row i the column j takes the distance i - j, which is number j + L - 1 - i."""
            flat = (v.flatten(1, 2) @ p.transpose(-1, -2)).view(
                heads * batch, width * (2 * width - 1)
            )
            return (
                flat[:, width - 1 : width - 1 + width * (2 * width - 2)]
                .unflatten(1, (width, 2 * width - 2))[:, :, :width]
                .unflatten(0, (heads, batch))
            )

        for layer in self.body.encoder.layer:
            own = layer.attention.self
            q, k, v = (
                by_head(linear(module, x))
                for module in (own.query_proj, own.key_proj, own.value_proj)
            )
            q, kk = q * scale, k * scale
            position_key, position_query = by_head(linear(own.key_proj, relative)), by_head(
                linear(own.query_proj, relative)
            )
            scores = q @ k.transpose(-1, -2) + mask
            scores = scores + distances(q, position_key)
            scores = scores + distances(kk, position_query.flip(1)).transpose(-1, -2)
            mixed = (scores.softmax(-1) @ v).movedim(0, -2).flatten(-2)
            x = norm(
                layer.attention.output.LayerNorm, x + linear(layer.attention.output.dense, mixed)
            )
            inner = F.gelu(linear(layer.intermediate.dense, x))
            x = norm(layer.output.LayerNorm, x + linear(layer.output.dense, inner))
        return x

    def run(self, rows, targets, workers, dtype=torch.bfloat16, groups=4):
        """
        The forward pass of many rows, in `workers` threads of one core each, which need no step in common but the loss (on a busy machine
        threads that share an operation mostly wait for each other). Returns a Pass, whose outputs are leaves: `first` [N, hidden] and
        `masked` [M, hidden], the states at the targets; after their gradients are known, `Pass.backward` goes on.
        targets: per row (places, ids).
        """
        kinds, index = np.unique(np.concatenate(rows), return_inverse=True)
        table = self.body.embeddings.LayerNorm(
            F.embedding(
                torch.from_numpy(kinds.astype(np.int64)),
                self.body.embeddings.word_embeddings.weight,
            )
        )
        leaf = table.detach().requires_grad_()
        lengths = np.array([len(row) for row in rows])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        order = np.argsort(lengths, kind="stable")
        parts = np.array_split(order, groups)
        grad = torch.is_grad_enabled()

        def one(part):
            ids = np.full((len(part), lengths[part].max()), -1, np.int64)
            for i, row in enumerate(part):
                ids[i, : lengths[row]] = index[offsets[row] : offsets[row + 1]]
            at = [(i, place) for i, row in enumerate(part) for place in targets[row][0]] or [(0, 0)]
            i, place = (torch.tensor(v) for v in zip(*at))
            with torch.set_grad_enabled(grad):
                x = self(torch.from_numpy(ids), leaf, dtype)
                return x[:, 0].float(), x[i, place].float()

        # the longest part with the shortest, and so on
        halves = [
            list(range(n, groups, 2 * len(workers)))
            + list(range(2 * len(workers) - 1 - n, groups, 2 * len(workers)))
            for n in range(len(workers))
        ]
        found = dict(
            pair
            for pairs in workers.map(lambda half: [(n, one(parts[n])) for n in half], halves)
            for pair in pairs
        )
        outputs = [found[n] for n in range(groups)]
        wanted = np.concatenate(
            [
                np.concatenate([targets[row][1] for row in part])
                if any(len(targets[row][0]) for row in part)
                else np.array([kinds[0]])
                for part in parts
            ]
        )
        return Pass(outputs, halves, order, kinds, table, leaf, wanted, workers)

    def masked_loss(self, done, random_ids):
        """Cross-entropy of the masked tokens among the batch's tokens and a sample of others."""
        others = np.setdiff1d(np.concatenate([done.wanted, random_ids]), done.kinds)
        extra = self.body.embeddings.LayerNorm(
            F.embedding(
                torch.from_numpy(others.astype(np.int64)),
                self.body.embeddings.word_embeddings.weight,
            )
        )
        known = np.concatenate([done.kinds, others]).astype(np.int64)
        place = np.full(self.config.vocab_size, -1, np.int64)
        place[known] = np.arange(len(known))
        h = self.norm(F.gelu(self.dense(done.masked))).to(torch.bfloat16)
        logits = (h @ torch.cat([done.leaf, extra]).to(torch.bfloat16).T).float() / 16 + self.bias[
            torch.from_numpy(known)
        ]
        return F.cross_entropy(logits, torch.from_numpy(place[done.wanted]))

    @torch.no_grad()
    def vectors(self, texts, batch=256):
        workers = Workers(1)
        nothing = (np.zeros(0, np.int64), np.zeros(0, np.uint16))
        return np.concatenate(
            [
                F.normalize(
                    self.run(rows, [nothing] * len(rows), workers).first.detach(), dim=-1
                ).numpy()
                for rows in chunks(texts, batch)
            ]
        )


class Workers:
    def __init__(self, count):
        self.count, self.pool = count, ThreadPoolExecutor(count)

    def __len__(self):
        return self.count

    def map(self, work, items):
        return (
            list(self.pool.map(work, items)) if self.count > 1 else [work(item) for item in items]
        )


class Pass:
    """A forward pass up to its outputs, and how to go back from them."""

    def __init__(self, outputs, halves, order, kinds, table, leaf, wanted, workers):
        self.outputs, self.halves, self.kinds, self.table, self.leaf, self.wanted, self.workers = (
            outputs,
            halves,
            kinds,
            table,
            leaf,
            wanted,
            workers,
        )
        self.leaves = [
            tuple(output.detach().requires_grad_() for output in pair) for pair in outputs
        ]
        self.first = torch.cat([first for first, _ in self.leaves])[
            torch.from_numpy(np.argsort(order))
        ]
        self.masked = torch.cat([masked for _, masked in self.leaves])

    def backward(self, loss):
        loss.backward()

        def back(half):
            for n in half:
                torch.autograd.backward(self.outputs[n], [leaf.grad for leaf in self.leaves[n]])

        self.workers.map(back, self.halves)
        self.table.backward(self.leaf.grad)


def mask_rows(rows, rate, vocab_size, generator):
    """Of `rate` of the tokens 80 % become [MASK], 10 % another, 10 % stay. Returns the rows and (places, ids) of each."""
    noisy, targets = [], []
    for row in rows:
        row = row.copy()
        places = 1 + np.flatnonzero(generator.random(len(row) - 2) < rate)
        targets.append((places, row[places].copy()))
        roll = generator.random(len(places))
        row[places[roll < 0.8]] = MASK
        swap = places[roll > 0.9]
        row[swap] = generator.integers(5, vocab_size, len(swap))
        noisy.append(row)
    return noisy, targets


def train_encoder(model, bag, sampler, args, report):
    """Every step ranks the bag's vectors of translations or documents for the encoder's of sentences with masked
    tokens. Resumes from the work folder's state if there is one."""
    kept = f"{args.work}/state.pt"
    inner = [p for n, p in model.named_parameters() if "word_embeddings" not in n]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in inner if p.ndim > 1], "weight_decay": 0.01, "base": args.lr},
            {"params": [p for p in inner if p.ndim <= 1], "weight_decay": 0.0, "base": args.lr},
            {
                "params": [model.body.embeddings.word_embeddings.weight],
                "weight_decay": 0.0,
                "base": args.lr * args.table_rate,
            },
        ],
        lr=args.lr,
        betas=(0.9, 0.98),
        eps=1e-7,
        fused=True,
    )
    done = {"step": 0, "tokens": 0, "seconds": 0.0, "ranking": {}}
    if os.path.exists(kept):
        state = torch.load(kept, weights_only=False)
        model.load_state_dict(state["model"]), optimizer.load_state_dict(state["optimizer"])
        done = state["done"]
        sampler.random = np.random.default_rng(args.seed + done["step"])
    torch.set_num_threads(1)
    workers = Workers(args.threads)
    clock, shares = Clock(done["seconds"], math.inf if args.count_pauses else 20.0), np.array(
        args.mix
    ) / sum(args.mix)
    kinds = ("translations", "neighbours", "across")
    seen = {name: [] for name in (*kinds, "masked")}
    saved = reported = done["seconds"]
    started_tokens, started = done["tokens"], done["seconds"]
    while (progress := done["seconds"] / (60 * args.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = (
                group["base"]
                * min(1, (done["step"] + 1) / 50)
                * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
            )
        kind = kinds[sampler.random.choice(3, p=shares)]
        a, b, chosen = getattr(sampler, kind)(args.batch)
        if kind == "translations" and sampler.random.random() < 0.5:
            a, b = b, a
        noisy, targets = mask_rows(a, args.masked, model.config.vocab_size, sampler.random)
        run = model.run(noisy, targets, workers, groups=4 * len(workers))
        with torch.no_grad():
            wanted = F.normalize(bag(b), dim=-1)
        ranked, hit = ranking_loss(F.normalize(run.first, dim=-1), wanted, chosen, args.temperature)
        others = sampler.packed["left"].ids[
            sampler.random.integers(0, len(sampler.packed["left"].ids), 1500)
        ]
        masked = model.masked_loss(
            run,
            np.concatenate(
                [others[others > MASK], sampler.random.integers(5, model.config.vocab_size, 1500)]
            ),
        )
        optimizer.zero_grad(set_to_none=True)
        run.backward(ranked + args.masked_share * masked)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        done["step"] += 1
        done["tokens"] += sum(map(len, a))
        done["seconds"] = clock.seconds()
        seen[kind].append((ranked.item(), hit)), seen["masked"].append((masked.item(), 0))
        if done["step"] % 25 == 0:
            done["ranking"] = {
                name: [round(float(x), 3) for x in np.mean(values[-100:], 0)]
                for name, values in seen.items()
                if values
            }
            rate = (done["tokens"] - started_tokens) / (done["seconds"] - started)
            print(
                f"step {done['step']} {done['seconds']:.0f}s {done['tokens'] / 1e6:.2f}M tokens {rate:.0f} tok/s {done['ranking']}",
                flush=True,
            )
        if done["seconds"] - reported > 60 * args.report_minutes:
            report(done), clock.seconds()
            reported = done["seconds"]
        if done["seconds"] - saved > 300:
            torch.save(
                {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "done": done},
                kept + ".new",
            )
            os.replace(kept + ".new", kept)
            saved = done["seconds"]
    return done


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
