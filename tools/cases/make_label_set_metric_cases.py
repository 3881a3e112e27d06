"""Writes the expected values of the metrics of label sets and of rankings, computed by scikit-learn.

    pip install scikit-learn
    python tools/cases/make_label_set_metric_cases.py
"""
import json
import pathlib
import warnings

import numpy as np
import sklearn
from sklearn import metrics as m

warnings.filterwarnings("ignore")
rng = np.random.default_rng(20240930)
folder = pathlib.Path(__file__).parents[2] / "packages/data/src/metrics"


def label_set_case(name, y, q):
    p = (q >= 0.5).astype(int)
    expected = {
        "hamming_loss": m.hamming_loss(y, p),
        "subset_accuracy": m.accuracy_score(y, p),
    }
    for average in ("micro", "macro", "samples"):
        for metric, function in (
            ("f1", m.f1_score),
            ("precision", m.precision_score),
            ("recall", m.recall_score),
        ):
            expected[f"{metric}_{average}"] = function(y, p, average=average, zero_division=0)
        expected[f"average_precision_{average}"] = m.average_precision_score(
            y, q, average=average
        )
    return {
        "name": name,
        "labelCount": y.shape[1],
        "labels": y.ravel().tolist(),
        "predictions": p.ravel().tolist(),
        "probabilities": q.ravel().tolist(),
        "expected": {key: float(value) + 0.0 for key, value in expected.items()},
    }


def label_set_cases():
    cases = []
    for name, n, count, share, digits in (
        ("four labels", 40, 4, 0.3, 3),
        ("four labels, many ties", 40, 4, 0.4, 1),
        ("twelve rare labels", 25, 12, 0.08, 2),
    ):
        y = (rng.random((n, count)) < share).astype(int)
        q = np.round(1 / (1 + np.exp(-(rng.normal(size=y.shape) * 1.5 + 2 * y - 1))), digits)
        cases.append(label_set_case(name, y, q))
    y = np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]])
    q = np.array([[0.1, 0.9, 0.2], [0.4, 0.3, 0.1], [0.2, 0.8, 0.6], [0.5, 0.45, 0.5]])
    cases.append(label_set_case("a row without labels, and a label that no row has", y, q))
    cases.append(label_set_case("nothing is predicted", y, q / 3))
    return cases


folder.joinpath("labels/label-set-metric-cases.json").write_text(
    json.dumps({"about": f"scikit-learn {sklearn.__version__}", "cases": label_set_cases()}) + "\n"
)


def ranking_case(name, lists):
    relevant = lambda y: (np.asarray(y) > 0).astype(int)
    depths = {f"ndcg@{k}": lambda y, s, k=k: m.ndcg_score([y], [s], k=k) for k in (1, 3, 10)}
    scores = {**depths, "map": lambda y, s: m.average_precision_score(relevant(y), s)}
    return {
        "name": name,
        "lists": [{"relevances": list(map(float, y)), "scores": list(map(float, s))} for y, s in lists],
        "expected": {
            key: float(np.mean([function(y, s) for y, s in lists])) + 0.0
            for key, function in scores.items()
        },
    }


def ranking_cases():
    def draw(n, grades, digits):
        y = rng.integers(0, grades, n)
        return y, np.round(rng.normal(size=n) + 0.5 * y, digits)

    return [
        ranking_case("graded", [draw(12, 4, 3) for _ in range(6)]),
        ranking_case("relevant or not, many ties", [draw(n, 2, 0) for n in (2, 5, 20, 20)]),
        ranking_case("a query without relevant documents", [([0, 0, 0], [3, 2, 1]), ([0, 1, 0], [3, 2, 1])]),
        ranking_case("all alike", [([0, 1, 2, 0], [1, 1, 1, 1])]),
    ]


folder.joinpath("rankings/ranking-metric-cases.json").write_text(
    json.dumps({"about": f"scikit-learn {sklearn.__version__}", "cases": ranking_cases()}) + "\n"
)
