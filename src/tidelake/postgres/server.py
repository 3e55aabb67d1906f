"""A PostgreSQL server by its address: connections, and errors that say what and where without the password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tidelake.errors import ProjectError, SourceError, TidelakeError, UnknownNameError, UnsupportedError

CONNECT_SECONDS = 15
"""How long to wait for an answer where the address does not say (`connect_timeout=`)."""

# Texts of values do not depend on how a server or user is set up.
_SESSION = (
    "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'iso_8601'; "
    "SET bytea_output = 'hex'; SET extra_float_digits = 1; SET synchronize_seqscans = off; "
    "SET client_encoding = 'UTF8'"
)


@dataclass(frozen=True)
class Server:
    """One database of a server.

    Attributes:
        dsn: `postgresql://user:password@host:port/database` or libpq's `key=value` words; never shown.
        what: What the address belongs to, for messages (`source 'events'`, `--to`).
    """

    dsn: str = field(repr=False)
    what: str = "the address"

    def __post_init__(self) -> None:
        self._parts()

    @property
    def database(self) -> str:
        """The database's name."""
        parts = self._parts()
        return str(parts.get("dbname") or parts.get("user") or "postgres")

    @property
    def shown(self) -> str:
        """The address without user and password."""
        parts = self._parts()
        host = parts.get("host") or parts.get("hostaddr") or "localhost"
        port = f":{parts['port']}" if parts.get("port") else ""
        return f"postgres://{host}{port}/{self.database}"

    def _parts(self) -> dict[str, Any]:
        conninfo = _driver().conninfo
        try:
            return dict(conninfo.conninfo_to_dict(self.dsn))
        except _driver().Error:
            # The driver's message may quote the password.
            raise ProjectError(
                f"The address of {self.what} is not one of PostgreSQL.",
                hint="Write postgresql://user:password@host:5432/database; characters such as @ : / in the "
                "password as %40 %3A %2F.",
            ) from None

    @contextmanager
    def connect(self, *, read_only: bool = False, snapshot: bool = False, plain: bool = False) -> Iterator[Any]:
        """A connection in one transaction, committed at the end and rolled back on errors.

        Args:
            snapshot: Every statement sees the database as it is at the first one (REPEATABLE READ).
            plain: Leave the session as it is: servers that only speak PostgreSQL's protocol know other settings.

        Raises:
            SourceError: No server, no right, or the server refuses a statement.
        """
        driver = _driver()
        with self.explained():
            timeout = {} if self._parts().get("connect_timeout") else {"connect_timeout": CONNECT_SECONDS}
            connection = driver.connect(self.dsn, autocommit=True, application_name="tidelake", **timeout)
            try:
                if not plain:
                    connection.execute(_SESSION)
                connection.read_only = read_only
                if snapshot:
                    connection.isolation_level = driver.IsolationLevel.REPEATABLE_READ
                connection.autocommit = False
                yield connection
                connection.commit()
            finally:
                connection.close()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the driver's errors into ones that say where, in words without the password."""
        driver = _driver()
        try:
            yield
        except TidelakeError:
            raise
        except driver.Error as error:
            raise self._explain(error) from None

    def _explain(self, error: Any) -> SourceError:
        text = self._without_secrets(error.diag.message_primary or str(error))
        line = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no answer")
        state = error.sqlstate or ""
        if "authentication failed" in text or "no password supplied" in text or state in ("28P01", "28000"):
            hint = "Check user and password in the variable that the address comes from."
        elif re.search(r'database ".*" does not exist', text) or state == "3D000":
            hint = f"There is no database '{self.database}' on this server: correct the address, or create it."
        elif state == "42501":
            hint = "Grant this user the right: GRANT SELECT ON ... (to read), CREATE on the database (to publish)."
        elif state:
            hint = "Correct the table or query, or ask who keeps the database."
        else:
            hint = "Is the server running and reachable from here? Check host and port."
        return SourceError(f"{self.what}: {self.shown}: {line}", hint=hint)

    def _without_secrets(self, text: str) -> str:
        secrets = {str(self._parts().get("password") or "")}
        with suppress(IndexError):
            secrets.add(self.dsn.split("://", 1)[1].rsplit("@", 1)[0].split(":", 1)[1])
        for secret in sorted(filter(None, {*secrets, *map(unquote, secrets)}), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def quoted(*names: str) -> str:
    """Names as SQL writes them: `"schema"."table"`."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def literal(text: str) -> str:
    """A text as SQL writes it, whatever the server's settings say of backslashes."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'" if "\\" in text else f"'{escaped}'"


def find_table(connection: Any, name: str, *, where: str) -> tuple[str, str]:
    """Schema and name of a table or view, as the server's search path finds it.

    Raises:
        UnknownNameError: There is none that this user can see.
    """
    found = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE c.oid = to_regclass(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
        (name,),
    ).fetchone()
    if found is None:
        known = connection.execute(
            "SELECT CASE WHEN pg_table_is_visible(c.oid) THEN relname ELSE nspname || '.' || relname END "
            "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE relkind IN "
            "('r', 'p', 'v', 'm', 'f') AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        ).fetchall()
        raise UnknownNameError("table", name, [row[0] for row in known], where=where)
    return str(found[0]), str(found[1])


def _driver() -> Any:
    """The module psycopg.

    Raises:
        UnsupportedError: It is not installed.
    """
    try:
        import psycopg
        from psycopg import conninfo
    except ImportError as error:
        raise UnsupportedError(
            f"PostgreSQL needs a package that is not installed ({error}).", hint="pip install 'tidelake[postgres]'"
        ) from error
    assert conninfo is not None
    return psycopg
