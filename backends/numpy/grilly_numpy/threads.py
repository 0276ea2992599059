"""A small pool of threads shared by the kernels.

NumPy's ufuncs release the interpreter lock, so a few threads on large blocks help. The lock still changes
hands at every call: blocks below some 30 thousand elements run slower on two threads than on one.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np

from grilly_core.extend import ConfigError

__all__ = ["parallel_for", "thread_count"]

_VARIABLE = "GRILLY_NUM_THREADS"
_MOST = 8  # beyond this the threads wait for the interpreter lock

_lock = threading.Lock()
_executor: ThreadPoolExecutor | None = None
_count: int | None = None


def thread_count() -> int:
    """Threads that kernels use: ``GRILLY_NUM_THREADS``, or the processors of this process up to 8.

    The variable is read once.

    Raises:
        ConfigError: if the variable is not a whole number of at least 1.

    Example:
        >>> thread_count() >= 1
        True
    """
    global _count
    if _count is None:
        _count = _configured()
    return _count


def parallel_for(count: int, body: Callable[[int], object]) -> None:
    """Call ``body(0) ... body(count - 1)``, on several threads if there are several.

    Indices are handed out in order; the calls must not depend on each other. NumPy's floating-point
    warnings are off inside, on every thread. A count of 1 costs a function call and starts nothing.
    Calls may nest.

    Args:
        count: number of calls.
        body: takes the index; its result is ignored.

    Raises:
        BaseException: the first one that a call raised, once every running call has ended.

    Example:
        >>> squares = np.empty(3)
        >>> def body(i):
        ...     squares[i] = i * i
        >>> parallel_for(3, body)
        >>> squares
        array([0., 1., 4.])
    """
    helpers = min(thread_count(), count) - 1
    if helpers < 1:
        with np.errstate(all="ignore"):
            for i in range(count):
                body(i)
        return
    run = _Run(count, body)
    _start(run.help, helpers)
    run.work()
    run.close()
    if run.errors:
        raise run.errors[0]


class _Run:
    """One ``parallel_for``: hands out indices, knows how many helpers are inside."""

    def __init__(self, count: int, body: Callable[[int], object]) -> None:
        self.count = count
        self.body = body
        self.errors: list[BaseException] = []
        self._indices = itertools.count()  # next() of it is atomic: no index is handed out twice
        self._state = threading.Condition()
        self._inside = 0
        self._closed = False

    def work(self) -> None:
        try:
            with np.errstate(all="ignore"):  # threads do not inherit it
                while not self.errors and (i := next(self._indices)) < self.count:
                    self.body(i)
        except BaseException as error:  # noqa: BLE001 - the caller raises it
            self.errors.append(error)

    def help(self) -> None:
        with self._state:
            if self._closed:
                return
            self._inside += 1
        self.work()
        with self._state:
            self._inside -= 1
            self._state.notify()

    def close(self) -> None:
        # A helper that has not begun is turned away: waiting for it could deadlock nested calls.
        with self._state:
            self._closed = True
            while self._inside:
                self._state.wait()


def _start(work: Callable[[], None], helpers: int) -> None:
    global _executor
    with _lock:
        if _executor is None:
            _executor = ThreadPoolExecutor(max(1, thread_count() - 1), thread_name_prefix="grilly")
        executor = _executor
    # No thread can be started at interpreter exit or at the system's limit: the caller does all the work.
    with suppress(RuntimeError):
        for _ in range(helpers):
            executor.submit(work)


def _configured() -> int:
    text = os.environ.get(_VARIABLE, "").strip()
    if not text:
        return min(_MOST, _processors())
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{_VARIABLE}={text!r} is not a number of threads; set 1 or more, or unset it")
    return int(text)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _after_fork() -> None:
    global _lock, _executor, _count
    _lock = threading.Lock()  # its holder may not exist in the child
    _executor = None  # nor do the threads
    _count = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
