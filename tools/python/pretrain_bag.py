"""A bag of embeddings that is trained first, so that the encoder starts from words that know each other."""

import time
import numpy as np
import torch
import torch.nn.functional as F
from pretrain_corpus import CLS, SEP, chunks


def ranking_loss(a, b, chosen, temperature):
    """InfoNCE both ways; a row drawn twice is never its own negative. Returns the loss and the share ranked first."""
    scores = a @ b.T / temperature
    same = torch.from_numpy(chosen[:, None] == chosen[None, :]).fill_diagonal_(False)
    scores = scores.masked_fill(same, -1e4)
    target = torch.arange(len(chosen))
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2, (
        scores.argmax(1) == target
    ).float().mean().item()


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
