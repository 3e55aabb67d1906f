"""Publication to Redshift as far as it goes without one: files and manifest on a real S3 server, and the SQL text."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from pyarrow import fs

from tests.projects import TinyProject, event, lines
from tests.servers import S3Server
from tidelake import session as tl
from tidelake.errors import ProjectError, SourceError
from tidelake.publish.redshift import load_statements
from tidelake.publish.tables import Publication

ROLE = "arn:aws:iam::123456789012:role/load"
TO = "redshift://me:secret@127.0.0.1:1/dev"
SCHEMA = pa.schema(
    [
        ("actor_id", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("n", pa.int64()),
        ("share", pa.float64()),
        ("titles", pa.list_(pa.string())),
    ]
)


def test_a_table_is_loaded_beside_the_old_one_and_renamed() -> None:
    """No TRUNCATE: Redshift commits at it. Written by hand from Redshift's documentation of COPY."""
    item = Publication("mart.actors", ("actor_id",), SCHEMA, "some-id", 12, 7)
    made = load_statements(item, schema="marts", manifest="s3://b/p/manifest.json", iam_role=ROLE)
    assert made == [
        'DROP TABLE IF EXISTS "marts"."mart_actors__new"',
        (
            'CREATE TABLE "marts"."mart_actors__new" (\n    "actor_id" VARCHAR(65535),\n    "at" TIMESTAMP,\n'
            '    "n" BIGINT,\n    "share" DOUBLE PRECISION,\n    "titles" SUPER,\n    PRIMARY KEY ("actor_id")\n)'
        ),
        (
            'COPY "marts"."mart_actors__new"\nFROM \'s3://b/p/manifest.json\'\n'
            f"IAM_ROLE '{ROLE}'\nFORMAT AS PARQUET SERIALIZETOJSON\nMANIFEST"
        ),
        'DROP TABLE IF EXISTS "marts"."mart_actors"',
        'ALTER TABLE "marts"."mart_actors__new" RENAME TO "mart_actors"',
        (
            'COMMENT ON TABLE "marts"."mart_actors" IS '
            '\'tidelake: {"table": "mart.actors", "version": 12, "id": "some-id", "rows": 7}\''
        ),
    ]
    for statement in made:
        assert sqlglot.parse_one(statement, read="redshift") is not None


@pytest.mark.server
def test_files_and_manifest_hold_the_tables_rows(tmp_path: Path, s3_environment: S3Server) -> None:
    project = TinyProject.make(tmp_path / "project")
    project.write("a.jsonl", lines(event(n) for n in range(100)))
    stage = f"s3://{s3_environment.bucket}/{uuid.uuid4().hex}"
    options: dict[str, Any] = {"stage": stage, "iam_role": ROLE}
    with tl.open(project.root) as session:
        session.build()
        with pytest.raises(ProjectError, match="Redshift takes its rows from S3"):
            session.publish(TO)
        with pytest.raises(SourceError, match=r"127\.0\.0\.1:1/dev") as caught:
            session.publish(TO, **options)
        assert "publish_redshift.sql" in (caught.value.hint or "")
        done = session.publish(TO, execute=False, **options).to_dicts()
    assert {row["status"] for row in done} == {"staged"}
    assert {row["table"] for row in done} >= {"gold.user_day", "gold.event_day", "gold.sessions"}
    sql = (project.root / "target" / "publish_redshift.sql").read_text()
    assert "secret" not in sql
    statements = [text.strip() for text in sql.split(";\n") if text.strip()]
    assert (statements[0], statements[-1]) == ("BEGIN", "COMMIT")
    store = fs.S3FileSystem(
        access_key=s3_environment.access_key,
        secret_key=s3_environment.secret_key,
        endpoint_override=s3_environment.endpoint.removeprefix("http://"),
        scheme="http",
        region=s3_environment.region,
    )
    for row in done:
        target = row["target"].split(".")[1]
        (manifest,) = {
            word.strip("'") for word in sql.split() if f"/{target}/" in word and word.endswith("manifest.json'")
        }
        with store.open_input_stream(manifest.removeprefix("s3://")) as stream:
            entries = json.loads(stream.read())["entries"]
        count = 0
        for entry in entries:
            assert entry["mandatory"] is True
            path = entry["url"].removeprefix("s3://")
            assert store.get_file_info(path).size == entry["meta"]["content_length"]
            with store.open_input_file(path) as stream:
                table = pq.read_table(stream)
            count += table.num_rows
            assert not [f for f in table.schema if pa.types.is_timestamp(f.type) and f.type.tz]
        assert count == row["rows"] == len(project.rows(row["table"]))
