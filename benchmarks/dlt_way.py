"""dlt loads the same files into one DuckDB table: extract, normalise, load; no checks, no sessions, no dedup.

    python benchmarks/dlt_way.py DATA_DIR WORK_DIR

Its own JSON Lines reader stops at the first line that is not JSON, so the lines are parsed here, with orjson, and
those that cannot be parsed are skipped.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt  # type: ignore[import-not-found, unused-ignore]
import orjson


@dlt.resource(name="events", write_disposition="append")  # type: ignore[untyped-decorator, unused-ignore]
def events(folder: str) -> Iterator[list[dict[str, Any]]]:
    for path in sorted(Path(folder).glob("*.jsonl")):
        batch = []
        with path.open("rb") as lines:
            for line in lines:
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
                if isinstance(row, dict):
                    batch.append(row)
        yield batch


def main() -> None:
    data, work = Path(sys.argv[1]), Path(sys.argv[2])
    pipeline = dlt.pipeline(
        "benchmark",
        pipelines_dir=str(work / "pipelines"),
        destination=dlt.destinations.duckdb(str(work / "events.duckdb")),
        dataset_name="bronze",
    )
    pipeline.run(events(str(data / "events")), loader_file_format="parquet")
    print(pipeline.last_trace.last_normalize_info.row_counts["events"])


main()
