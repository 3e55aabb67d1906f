"""The next group is read by a thread while the caller works on the last one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made while the one before is worked on: never more than two are alive.

    An error of the maker is raised to the caller at its place. When the caller stops early, the maker
    stops after the item at hand.
    """
    slot: list[tuple[Item | None, BaseException | None]] = []
    filled, wanted = threading.Semaphore(0), threading.Semaphore(1)
    stopped = threading.Event()

    def make() -> None:
        error: BaseException | None = None
        try:
            while wanted.acquire() and not stopped.is_set():
                slot.append((next(items), None))
                filled.release()
        except StopIteration:
            pass
        except BaseException as caught:  # noqa: BLE001 - handed to the caller, who raises it
            error = caught
        slot.append((None, error))
        filled.release()

    maker = threading.Thread(target=make, name="tidelake-reader", daemon=True)
    maker.start()
    try:
        while True:
            filled.acquire()
            item, error = slot.pop(0)
            if error is not None:
                raise error
            if item is None:
                return
            wanted.release()
            yield item
            del item
    finally:
        stopped.set()
        wanted.release()
        maker.join()
        close = getattr(items, "close", None)
        if close is not None:
            close()
