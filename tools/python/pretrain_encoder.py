"""The encoder on top of the bag: its parts, its passes and its training."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import torch
import torch.nn.functional as F
from transformers import DebertaV2Config, DebertaV2Model
from pretrain_corpus import PAD, MASK, LENGTH, chunks
from pretrain_bag import ranking_loss, Clock


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
