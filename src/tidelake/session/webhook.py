"""Tells findings to a receiver over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tidelake.errors import ProjectError

TRIES = 3
TIMEOUT = 10.0
"""Seconds that one try may take to connect, and to answer."""
_PAUSE = 1.0
_AGAIN = (408, 425, 429)  # and from 500 on: it may be another time


def check_address(url: str) -> str:
    """The address, known to be one that can be called.

    Raises:
        ProjectError: It is neither http nor https.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise ProjectError("The webhook's address is neither http:// nor https://.", hint="Write https://HOST/PATH.")
    return url


def post(url: str, document: Mapping[str, Any], *, wait: Callable[[float], None] = time.sleep) -> str | None:
    """POST a document as JSON: up to three tries, one and two seconds apart.

    Args:
        wait: Lets seconds pass.

    Returns:
        None where the receiver took it (2xx), else why it did not. The address is not in it: it may hold a secret.
    """
    body = json.dumps(document, ensure_ascii=False).encode()
    request = Request(url, body, {"Content-Type": "application/json", "User-Agent": "tidelake"}, method="POST")
    why = ""
    for number in range(TRIES):
        if number:
            wait(_PAUSE * 2 ** (number - 1))
        try:
            with urlopen(request, timeout=TIMEOUT) as answer:
                answer.read(1)
                return None
        except HTTPError as error:
            error.close()
            why = f"it answered {error.code} {error.reason}".strip()
            if error.code < 500 and error.code not in _AGAIN:
                return f"{why}; no other try was made"
        except URLError as error:
            why = f"it cannot be reached ({error.reason})"
        except (OSError, HTTPException, ValueError) as error:
            why = f"it cannot be reached ({str(error) or type(error).__name__})"
    return f"{why}, {TRIES} times"
