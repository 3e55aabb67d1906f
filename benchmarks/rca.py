"""Answers root-cause cases, one JSON line in, one JSON line out.

    python -m benchmarks.rca
    python -m benchmarks.rca --large 1000000      one made-up case of so many leaves and 10 dimensions, to depth 3

A question is `{"measure": "additive"|"ratio", "dims": [...], "csv": PATH, "direction": "down"|"auto"}`; the CSV file
has the dimensions and `real, predict`, or `num_real, num_predict, den_real, den_predict`. The answer is
`{"root_causes": [{dim: value}], "cause_types": [...], "seconds": s}`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from tidelake.analyses.change.localise import localise_sum
from tidelake.analyses.change.ratio import localise_ratio
from tidelake.errors import TidelakeError


def answered(question: dict[str, Any]) -> dict[str, Any]:
    """The answer to one case."""
    began = time.perf_counter()
    dims = question["dims"]
    text = csv.ConvertOptions(column_types=dict.fromkeys(dims, pa.string()), strings_can_be_null=False)
    table = csv.read_csv(question["csv"], convert_options=text)
    if question["measure"] == "additive":
        causes = localise_sum(table, dims, direction=question.get("direction", "auto")).causes
    else:
        causes = localise_ratio(table, dims, direction=question.get("direction", "auto")).causes
    return {
        "root_causes": [cause.values for cause in causes],
        "cause_types": [cause.kind for cause in causes],
        "seconds": time.perf_counter() - began,
    }


def large(rows: int) -> dict[str, Any]:
    """Finds three planted causes among very many leaves, and says what it took."""
    chance = np.random.default_rng(7)
    codes = []
    for size in (14, 6, 12, 5, 18, 3, 7, 4, 8, 5):
        weight = 1 / np.arange(1, size + 1)
        codes.append(chance.choice(size, rows, p=weight / weight.sum()))
    mean = chance.lognormal(3, 1, rows)
    left = np.where((codes[0] == 2) & (codes[3] == 1), 0.7, 1.0) * np.where(codes[2] == 4, 0.85, 1.0)
    left *= np.where((codes[4] == 3) & (codes[6] == 2) & (codes[8] == 1), 0.6, 1.0)
    columns = {f"d{at}": pa.array(own.astype(str)) for at, own in enumerate(codes)}
    real = chance.poisson(mean * left).astype(float)
    table = pa.table({**columns, "real": real, "predict": mean * np.exp(chance.normal(0, 0.15, rows))})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = time.perf_counter(), time.process_time()
    causes = localise_sum(table, list(columns), depth=3).causes
    return {
        "root_causes": [cause.values for cause in causes],
        "seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "megabytes_before": before // 1024,
    }


def main() -> None:
    """Answer until the questions end."""
    if sys.argv[1:2] == ["--large"]:
        print(json.dumps(large(int(sys.argv[2]))))
        return
    for line in sys.stdin:
        try:
            print(json.dumps(answered(json.loads(line))), flush=True)
        except (OSError, ValueError, KeyError, TidelakeError) as error:  # a failed case; the next is asked
            print(json.dumps({"root_causes": [], "error": repr(error)[:300]}), flush=True)


if __name__ == "__main__":
    main()
