"""Times of every dispatch: the right calls, bytes and plausible times; ``GRILLY_PROFILE`` for a whole program."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import grilly
from grilly_core import ops
from grilly_core.errors import DeviceLostError, UnsupportedOpError
from grilly_core.selection import using
from grilly_vulkan import profiler
from grilly_vulkan.profiler import Row, format_rows

Make = Callable[..., Any]


def by_name(rows: list[Row]) -> dict[str, Row]:
    assert len({row.shader for row in rows}) == len(rows)
    return {row.shader: row for row in rows}


def test_calls_bytes_and_times(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    backend = make()
    x = grilly.tensor(np.ones((64, 1000), np.float32), backend=backend)
    began, recorded = time.perf_counter(), backend.stream.ops
    with backend.profile() as rows:
        for _ in range(3):
            y = x + x
        ops.exp(y).numpy()
        backend.from_numpy(np.ones(100, np.float32))
    wall, recorded = time.perf_counter() - began, backend.stream.ops - recorded
    found = by_name(rows)
    assert set(found) == {"binary", "unary", "copy"}
    assert [found[name].calls for name in ("binary", "unary", "copy")] == [3, 1, 2]
    assert sum(row.calls for row in rows) == recorded
    assert found["binary"].bytes == 3 * 3 * 4 * 64000
    assert found["unary"].bytes == 2 * 4 * 64000
    assert found["copy"].bytes == 8 * 64000 + 800
    assert all(row.milliseconds > 0 for row in rows)
    assert sum(row.milliseconds for row in rows) < wall * 1e3
    assert [row.milliseconds for row in rows] == sorted((row.milliseconds for row in rows), reverse=True)
    assert format_rows(rows) in capsys.readouterr().err


def test_a_broadcast_operand_counts_what_it_holds(make: Make) -> None:
    backend = make()
    x = grilly.tensor(np.ones((64, 1000), np.float32), backend=backend)
    row = grilly.tensor(np.ones(1000, np.float32), backend=backend)
    with backend.profile() as rows:
        ops.add(x, ops.broadcast_to(row, shape=(64, 1000)))
    assert by_name(rows)["binary"].bytes == 4 * (64000 + 64000 + 1000)


def test_more_ops_than_queries(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "_QUERIES", 8)
    backend = make()
    x = grilly.zeros((100,), backend=backend)
    with backend.profile() as rows:
        for _ in range(50):
            x = x + 1.0
        assert x.numpy().tolist() == [50.0] * 100
    assert by_name(rows)["binary"].calls == 50


def test_from_the_public_function(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    backend = make()
    with using(backend), grilly.profile() as rows:
        grilly.ones((3,)) + 1.0
    assert rows and capsys.readouterr().err.splitlines()[0].split()[0] == "shader"
    with backend.profile() as again:
        pass
    assert again == [] and capsys.readouterr().err == ""


def test_one_at_a_time_and_off_afterwards(make: Make) -> None:
    backend = make()
    with backend.profile(), pytest.raises(UnsupportedOpError, match="already on"), backend.profile():
        pass
    with pytest.raises(ZeroDivisionError), backend.profile():
        1 / 0  # noqa: B018
    assert backend.stream.profiler is None


def test_a_device_lost_meanwhile(make: Make, faulty: Any) -> None:
    backend = make()
    x = grilly.ones((3,), backend=backend)
    backend.synchronize()
    faulty.results["vkQueueSubmit"] = -4
    with pytest.raises(DeviceLostError), backend.profile() as rows:
        (x + x).numpy()
    assert rows == [] and backend.stream.profiler is None


def test_bandwidth() -> None:
    assert Row("a", 1, 2.0, 4_000_000).gigabytes_per_second == 2.0
    assert Row("a", 1, 0.0, 4).gigabytes_per_second == 0.0
    lines = format_rows([Row("copy", 2, 3.0, 6_000_000), Row("fill", 1, 1.0, 0)]).splitlines()
    assert lines[1].split() == ["copy", "2", "3.000", "1500.00", "3.000", "2.0", "75.0%"]
    assert lines[-1].split() == ["all", "3", "4.000"]


def test_a_whole_program(device: Any, run: Any) -> None:
    code = """
        import grilly
        grilly.use_backend("vulkan")
        print((grilly.ones((5,)) + 1.0).numpy())
    """
    done = run(code, GRILLY_PROFILE="1", LP_NUM_THREADS="0")
    assert done.code == 0 and "2." in done.out
    lines = done.err.splitlines()
    assert lines[0].split()[:3] == ["shader", "calls", "ms"] and lines[-1].split()[0] == "all"
    assert {"binary", "copy"} <= {line.split()[0] for line in lines}
    off = run(code, GRILLY_PROFILE="0")
    assert (off.code, off.err) == (0, "")
