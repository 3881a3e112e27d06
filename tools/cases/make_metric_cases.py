"""Writes the expected values of the metric tests, computed by scikit-learn and SciPy.

    pip install scikit-learn scipy
    python tools/cases/make_metric_cases.py > packages/data/src/metrics/metric-cases.json
"""
import json
import warnings

import numpy as np
import scipy
import scipy.stats
import sklearn
from sklearn import metrics as m

warnings.filterwarnings("ignore")
rng = np.random.default_rng(20240917)


def class_scores(y, p, count):
    out = {
        "accuracy": m.accuracy_score(y, p),
        "balanced_accuracy": m.balanced_accuracy_score(y, p),
        "mcc": m.matthews_corrcoef(y, p),
    }
    for name, function in (
        ("f1", m.f1_score),
        ("precision", m.precision_score),
        ("recall", m.recall_score),
    ):
        if count == 2:
            out[name] = function(y, p, zero_division=0)
        for average in ("macro", "micro", "weighted"):
            out[f"{name}_{average}"] = function(y, p, average=average, zero_division=0)
    return out


def probability_scores(y, q, count):
    out = {"log_loss": m.log_loss(y, q, labels=list(range(count)))}
    if count == 2:
        out["roc_auc"] = m.roc_auc_score(y, q[:, 1])
    else:
        for way in ("ovo", "ovr"):
            out[f"roc_auc_{way}"] = m.roc_auc_score(y, q, multi_class=way, average="macro")
            out[f"roc_auc_{way}_weighted"] = m.roc_auc_score(
                y, q, multi_class=way, average="weighted"
            )
    return out


def value_scores(y, p):
    return {
        "root_mean_squared_error": m.root_mean_squared_error(y, p),
        "mean_squared_error": m.mean_squared_error(y, p),
        "mean_absolute_error": m.mean_absolute_error(y, p),
        "median_absolute_error": m.median_absolute_error(y, p),
        "r2": m.r2_score(y, p),
        "spearmanr": scipy.stats.spearmanr(y, p).statistic,
        "pearsonr": scipy.stats.pearsonr(y, p).statistic,
    }


cases = []
for name, count, n in (
    ("two classes", 2, 60),
    ("two classes, few rows", 2, 9),
    ("three classes", 3, 50),
    ("seven classes", 7, 204),
):
    y = np.concatenate([np.arange(count), rng.integers(0, count, n - count)])
    logits = rng.normal(size=(n, count)) + 1.5 * np.eye(count)[y] * (rng.random((n, 1)) < 0.7)
    q = np.exp(logits)
    q = np.round(q / q.sum(1, keepdims=True), 1 if "few" in name else 2)  # rounding makes ties
    q[:, -1] = 1 - q[:, :-1].sum(1)
    q = np.abs(q)
    p = q.argmax(1)
    cases.append(
        {
            "name": name,
            "kind": "classes",
            "classCount": count,
            "labels": y.tolist(),
            "predictions": p.tolist(),
            "expected": class_scores(y, p, count),
        }
    )
    cases.append(
        {
            "name": name,
            "kind": "probabilities",
            "classCount": count,
            "labels": y.tolist(),
            "predictions": q.ravel().tolist(),
            "expected": probability_scores(y, q, count),
        }
    )

y, p = np.array([0, 0, 1, 1, 1]), np.zeros(5, int)
cases.append(
    {
        "name": "one class is never predicted",
        "kind": "classes",
        "classCount": 2,
        "labels": y.tolist(),
        "predictions": p.tolist(),
        "expected": class_scores(y, p, 2),
    }
)
y, p = np.array([0, 0, 2, 2, 4]), np.array([0, 1, 2, 3, 4])
cases.append(
    {
        "name": "classes that only predictions or labels have",
        "kind": "classes",
        "classCount": 5,
        "labels": y.tolist(),
        "predictions": p.tolist(),
        "expected": class_scores(y, p, 5),
    }
)
y, q = np.array([0, 1, 1]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
cases.append(
    {
        "name": "certain and wrong",
        "kind": "probabilities",
        "classCount": 2,
        "labels": y.tolist(),
        "predictions": q.ravel().tolist(),
        "expected": probability_scores(y, q, 2),
    }
)
y = np.round(rng.normal(3, 2, 40), 1)
p = np.round(y + rng.normal(0, 1, 40), 1)
cases.append(
    {
        "name": "numbers with ties",
        "kind": "values",
        "labels": y.tolist(),
        "predictions": p.tolist(),
        "expected": value_scores(y, p),
    }
)
y, p = np.array([1e6 + 1, 1e6 + 2, 1e6 + 4]), np.array([1e6, 1e6 + 3, 1e6 + 3.5])
cases.append(
    {
        "name": "large numbers close together",
        "kind": "values",
        "labels": y.tolist(),
        "predictions": p.tolist(),
        "expected": value_scores(y, p),
    }
)

print(
    json.dumps(
        {
            "about": f"Made by tools/cases/make_metric_cases.py with scikit-learn {sklearn.__version__}, SciPy {scipy.__version__}, NumPy {np.__version__}",
            "cases": [
                {**case, "expected": {k: float(v) for k, v in case["expected"].items()}}
                for case in cases
            ],
        }
    )
)
