"""Two batches of a source at once: one is settled by a thread while the next one is read and parsed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from tidelake.engine.base import Engine, Parallel
from tidelake.silver.stage import Stage


class Lanes:
    """Gives batches to engines by turns, and settles them one after the other.

    Bronze may be a batch ahead of silver; a crash between them is healed like any other. An error of a batch that
    is being settled comes up with the next one, or at the end. An engine that cannot work in two threads gets one
    batch after the other.
    """

    def __init__(self, stage: Stage) -> None:
        self._stages = [stage]
        self._beside: Engine | None = None
        self._taken = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tidelake-settle")
        self._running: Future[None] | None = None
        stage.learned.settled = self.wait

    def __enter__(self) -> Lanes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is None:
                self.wait()
        finally:
            self._thread.shutdown(wait=True)
            if self._beside is not None:
                self._beside.close()

    def next(self) -> Stage:
        """Where to parse the next batch."""
        if self._taken == 1 and isinstance(self._stages[0].engine, Parallel):
            self._beside = self._stages[0].engine.beside()
            self._stages.append(self._stages[0].beside(self._beside))
        self._taken += 1
        return self._stages[(self._taken - 1) % len(self._stages)]

    def settle(self, stage: Stage, batch_id: int, superseded: Sequence[int]) -> None:
        """Settle a batch that was parsed and that bronze has; returns before it is done where another can be parsed."""
        self.wait()
        self._running = self._thread.submit(stage.settle, batch_id, superseded)
        if not isinstance(stage.engine, Parallel):
            self.wait()

    def wait(self) -> None:
        """Until the batch that is being settled is done.

        Raises:
            TidelakeError: It failed.
        """
        running, self._running = self._running, None
        if running is not None:
            running.result()
