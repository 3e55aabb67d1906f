"""The funnel of `by_hand.py` with retentioneering, over the raw files of `engagement.py`.

    python benchmarks/retentioneering_way.py DATA_DIR      prints one JSON line {question: seconds of processor time}

Needs `pip install retentioneering pyarrow`, best in an environment of its own. Written for 5.2.4, whose funnel knows no
window: it looks at whole lives, so its counts are at least those of the other programs (`funnel_without_window`).
It has no table of cohorts; `retention_weekly` is therefore not asked. `stream` is the making of its event stream, which
sorts the events and must come first. Its usage tracking is switched off before the import.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

STEPS = ["app_open", "browse", "video_play", "video_complete"]


def main() -> None:
    os.environ["RETENTIONEERING_NO_TRACK"] = "1"
    from retentioneering import Eventstream  # type: ignore[import-not-found, unused-ignore]

    begin = time.process_time()
    columns = ["event_time", "user_id", "event_name"]
    frame = pq.read_table(sorted(Path(sys.argv[1]).glob("*.parquet")), columns=columns).to_pandas()
    read = time.process_time()
    stream = Eventstream(
        frame, schema={"path_cols": ["user_id"], "event_col": "event_name", "timestamp_col": "event_time"}
    )
    made = time.process_time()
    found = stream.funnel_data(steps=STEPS)["steps"]
    end = time.process_time()
    print([row["unique_paths"] for row in found], file=sys.stderr)
    seconds = {"read": read - begin, "stream": made - read, "funnel_without_window": end - made}
    print(json.dumps({name: round(value, 4) for name, value in seconds.items()}))


if __name__ == "__main__":
    main()
