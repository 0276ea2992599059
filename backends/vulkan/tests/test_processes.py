"""Whole processes: fork and spawn, Ctrl-C, exit with work under way. Each must answer, and leave cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# Matrix products that take some seconds on any device; ``busy(seconds)`` returns the last of them unread.
BUSY = """
import time, signal, sys
import numpy as np, grilly
from grilly_core import ops
signal.signal(signal.SIGINT, signal.default_int_handler)
backend = grilly.use_backend("vulkan")
SIZE = 256 if backend.capabilities.is_cpu else 4096
x = grilly.tensor(np.full((SIZE, SIZE), 1 / SIZE, np.float32))
def product(y):
    return ops.matmul(x, y)
def busy(seconds):
    y = product(x)
    backend.synchronize()
    began, tried = time.perf_counter(), 0
    while time.perf_counter() - began < 0.3:
        y = product(y)
        backend.synchronize()
        tried += 1
    each = (time.perf_counter() - began) / tried
    # The host may be so far ahead only: few large submissions.
    backend.stream._limit = backend.stream._fixed = max(1, int(seconds / each / 8))
    for _ in range(int(seconds / each)):
        y = product(y)
    return y
"""


@posix
@pytest.mark.parametrize("leaves", ["sys.exit(0)", "pass", "os._exit(0)"])
def test_fork(run: Any, device: Any, leaves: str) -> None:
    done = run(
        f"""
        import os, signal, sys, time, warnings
        import numpy as np, grilly
        warnings.simplefilter("ignore")  # Python knows that forking beside a driver's threads is unwise
        backend = grilly.use_backend("vulkan")
        x = grilly.tensor(np.ones(3, np.float32))
        y = x + x
        def said(use):
            try:
                use()
            except grilly.errors.GrillyError as error:
                return f"{{type(error).__name__}}: {{error}}"
            return "nothing"
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)
            for use in (y.numpy, lambda: x + x, lambda: grilly.ones((2,)) + 1.0, backend.synchronize,
                        lambda: grilly.use_backend("vulkan:0")):
                text = said(use)
                assert "Vulkan cannot be used in a forked process" in text and "'spawn'" in text, text
            assert said(y.numpy).startswith("DeviceLostError")
            assert said(lambda: grilly.use_backend("vulkan:0")).startswith("BackendUnavailable")
            assert (grilly.ones((2,), backend="numpy") + 1.0).numpy().tolist() == [2.0, 2.0]
            del x, y
            print("child done", flush=True)
            {leaves}
        else:
            _, status = os.waitpid(pid, 0)
            print("child left with", status)
            print("parent:", y.numpy().tolist(), (y + x).numpy().tolist())
        """
    )
    assert done.err == "" and done.code == 0
    assert done.out.splitlines() == [
        "child done", "child left with 0", "parent: [2.0, 2.0, 2.0] [3.0, 3.0, 3.0]",
    ]  # fmt: skip
    assert done.seconds < 10


@posix
def test_fork_while_another_thread_records(run: Any, device: Any) -> None:
    """Its lock is not held for ever in the child."""
    done = run(
        """
        import os, signal, sys, threading, warnings
        import numpy as np, grilly
        warnings.simplefilter("ignore")
        backend = grilly.use_backend("vulkan")
        x = grilly.tensor(np.ones(3, np.float32))
        stop = False
        def record():
            y = x
            while not stop:
                with backend._device.lock:
                    y = y + x
        thread = threading.Thread(target=record)
        thread.start()
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                signal.alarm(10)
                try:
                    x + x
                except grilly.errors.DeviceLostError:
                    os._exit(7)
                os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        stop = True
        thread.join()
        print((x + x).numpy().tolist())
        """
    )
    assert (done.code, done.out.strip(), done.err) == (0, "[2.0, 2.0, 2.0]", "")


@posix
def test_fork_before_the_first_use(run: Any, device: Any) -> None:
    done = run(
        """
        import os, sys, grilly
        pid = os.fork()
        print("child" if pid == 0 else "parent", (grilly.ones((2,), backend="vulkan") + 1.0).numpy().tolist(), flush=True)
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
        """
    )
    assert (done.code, done.err) == (0, "")
    assert sorted(done.out.splitlines()) == ["child [2.0, 2.0]", "parent [2.0, 2.0]"]


def test_spawned_workers(run: Any, device: Any, tmp_path: Path) -> None:
    script = tmp_path / "workers.py"
    script.write_text(
        textwrap.dedent(
            """
            import multiprocessing, grilly
            def work(n):
                return (grilly.ones((2,), backend="vulkan") * float(n)).numpy().tolist()
            if __name__ == "__main__":
                x = grilly.ones((2,), backend="vulkan") + 1.0
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    print(pool.map(work, [1, 2]))
                print(x.numpy().tolist())
            """
        )
    )
    done = run("", str(script))
    assert (done.code, done.out, done.err) == (0, "[[1.0, 1.0], [2.0, 2.0]]\n[2.0, 2.0]\n", "")


def start(tmp_path: Path, code: str) -> subprocess.Popen[str]:
    """A process of its own that prints a line when it has come to the point."""
    script = tmp_path / "script.py"
    script.write_text(BUSY + textwrap.dedent(code))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GRILLY_", "PYTEST_"))}
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=kept,
    )


@posix
def test_ctrl_c_during_a_long_wait(device: Any, tmp_path: Path) -> None:
    process = start(
        tmp_path,
        """
        y = busy(4.0)
        print("waiting", flush=True)
        try:
            y.numpy()
            print("done")
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        print(abs(y.numpy() - 1 / SIZE).max() < 1e-6, flush=True)
        """,
    )
    assert process.stdout is not None and process.stdout.readline() == "waiting\n"
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "interrupted\n"
    assert time.monotonic() - began < 1
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "True\n", ""), "and the result can still be read"


@posix
def test_ctrl_c_while_exit_waits(device: Any, tmp_path: Path) -> None:
    process = start(tmp_path, 'y = busy(6.0)\nprint("leaving", flush=True)\n')
    assert process.stdout is not None and process.stdout.readline() == "leaving\n"
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in err
    assert "Segmentation" not in err and process.returncode == 0
    if not device.is_cpu:  # a software driver finishes what runs on its threads
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "code",
    [
        'y = busy(0.5)\nsys.stdout.write("left")',
        'y = busy(0.5)\ncycle = [y]\ncycle.append(cycle)\nsys.stdout.write("left")\nsys.exit()',
        'import threading\nlocal = threading.local()\nlocal.y = busy(0.5)\nsys.stdout.write("left")',
        'y = x + x\nbackend.close()\nbackend.close()\nsys.stdout.write("left")',
        "class Late:\n    def __del__(self, y=x):\n        self.y = y\nlate = Late()\nlate.self = late\n"
        'y = x + x\nsys.stdout.write("left")',
    ],
    ids=["running", "cycle", "thread-local", "closed", "finaliser"],
)
def test_exit_with_live_tensors(device: Any, tmp_path: Path, code: str) -> None:
    process = start(tmp_path, code)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "left", "")


def test_exit_gives_everything_back_once(run: Any, device: Any) -> None:
    done = run(
        """
        import atexit
        from collections import Counter
        destroyed = Counter()
        atexit.register(lambda: print(sorted(destroyed.items())))  # runs last
        from grilly_vulkan import _vk
        class Counting:
            def __getattr__(self, name):
                if name in ("vkDestroyDevice", "vkDestroyInstance"):
                    destroyed[name] += 1
                return getattr(real, name)
        real, _vk.lib = _vk.lib, Counting()
        import grilly
        x = grilly.ones((3,), backend="vulkan") + 1.0
        """
    )
    assert (done.code, done.err) == (0, "")
    assert done.out.strip() == "[('vkDestroyDevice', 1), ('vkDestroyInstance', 1)]"


def test_exit_after_an_error(device: Any, tmp_path: Path) -> None:
    process = start(tmp_path, "y = busy(0.5)\n1 / 0")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.strip().splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert err.count("Traceback") == 1


def test_exit_beside_a_thread_that_records(device: Any, tmp_path: Path) -> None:
    """A daemon thread goes on after the device is gone: it gets an error, the process no crash."""
    process = start(
        tmp_path,
        """
        import threading
        def record():
            y = x[:10, :10]
            try:
                while True:
                    y = y * 1.0
            except grilly.errors.DeviceLostError:
                pass
        threading.Thread(target=record, daemon=True).start()
        time.sleep(0.5)
        sys.stdout.write("left")
        """,
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "left", "")
