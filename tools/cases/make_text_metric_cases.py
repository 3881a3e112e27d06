"""Makes packages/data/src/metrics/texts/text-metric-cases.json: python tools/cases/make_text_metric_cases.py

Needs sacrebleu, rouge_score and seqeval.
"""
import json
import random
from pathlib import Path

from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU
from seqeval.metrics import f1_score, precision_score, recall_score

WORDS = (
    "the a cat dog sat on mat, table. It's 3.5 1,000 50-60 U.S. state-of-the-art naïve Zürich "
    '"quoted" (bracket) $5 50% a&b x/y … — 日本語 &quot;html&quot; emoji😀! end?'
).split()


def texts(rng, count, references):
    cases = []
    for _ in range(count):
        target = [rng.choice(WORDS) for _ in range(rng.randint(1, 14))]

        def noisy():
            kept = [
                w if rng.random() < 0.75 else rng.choice(WORDS)
                for w in target
                if rng.random() < 0.9
            ]
            return " ".join(kept)

        cases.append(
            (noisy(), [" ".join(target)] + [noisy() or "x" for _ in range(references - 1)])
        )
    return cases


def text_case(cases):
    predictions = [p for p, _ in cases]
    references = [r for _, r in cases]
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    expected = {}
    for kind in ("rouge1", "rouge2", "rougeL"):
        expected[kind] = sum(
            max(scorer.score(r, p)[kind].fmeasure for r in refs) for p, refs in cases
        ) / len(cases)
    streams = [[refs[i] for refs in references] for i in range(len(references[0]))]
    expected["bleu"] = BLEU(tokenize="13a").corpus_score(predictions, streams).score
    return {"predictions": predictions, "references": references, "expected": expected}


def tag_case(rng, count, prefixes):
    def tags(n):
        return [
            (
                "O"
                if rng.random() < 0.35
                else rng.choice(prefixes) + "-" + rng.choice(["PER", "LOC", "X-Y"])
            )
            for _ in range(n)
        ]

    labels = [tags(rng.randint(1, 12)) for _ in range(count)]
    predictions = [
        [t if rng.random() < 0.8 else other for t, other in zip(row, tags(len(row)))]
        for row in labels
    ]
    return {
        "labels": labels,
        "predictions": predictions,
        "expected": {
            "entity_f1": f1_score(labels, predictions),
            "entity_precision": precision_score(labels, predictions),
            "entity_recall": recall_score(labels, predictions),
        },
    }


if __name__ == "__main__":
    rng = random.Random(3)
    cases = [
        text_case(texts(rng, count, references))
        for count, references in ((1, 1), (6, 1), (12, 1), (8, 3), (3, 2))
    ]
    cases.append(
        text_case(
            [
                (
                    "The quick brown fox jumps over the lazy dog.",
                    ["The quick brown fox jumped over the lazy dog."],
                ),
                ("-\nHe said: 10-20,5 &lt;skipped&gt; <skipped>", ["He said 10-20,5"]),
            ]
        )
    )
    cases.append(text_case([("one two three", ["four five six seven"])]))
    cases.append(text_case([("one two three", ["one two three four"])]))
    cases.append(text_case([("", ["one two three four"]), ("a b c d e", ["a b c d e"])]))
    tags = [
        tag_case(rng, count, prefixes)
        for count, prefixes in ((1, "BI"), (10, "BI"), (10, "BIES"), (6, "I"))
    ]
    path = (
        Path(__file__).parent.parent.parent
        / "packages/data/src/metrics/texts/text-metric-cases.json"
    )
    path.write_text(json.dumps({"texts": cases, "tags": tags}, ensure_ascii=False) + "\n")
    print(path, path.stat().st_size)
