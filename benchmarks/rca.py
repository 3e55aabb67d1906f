"""Answers root-cause cases, one JSON line in, one JSON line out.

    python -m benchmarks.rca

A question is `{"measure": "additive"|"ratio", "dims": [...], "csv": PATH, "direction": "down"|"auto"}`; the CSV file
has the dimensions and `real, predict`, or `num_real, num_predict, den_real, den_predict`. The answer is
`{"root_causes": [{dim: value}], "cause_types": [...], "seconds": s}`.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

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


def main() -> None:
    """Answer until the questions end."""
    for line in sys.stdin:
        try:
            print(json.dumps(answered(json.loads(line))), flush=True)
        except (OSError, ValueError, KeyError, TidelakeError) as error:  # a failed case; the next is asked
            print(json.dumps({"root_causes": [], "error": repr(error)[:300]}), flush=True)


if __name__ == "__main__":
    main()
