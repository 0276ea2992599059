"""The suite finds planted faults and names the op; what it says of options and of what a backend lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import RunSuite

PLANTED = ("-p", "planted", "-q")
NEURONS = ("-k", "(lif_multi_step or lif_step or spike) and not vjp and not plif")


def test_wrong_multi_step_fails_its_own_tests_only(run_suite: RunSuite) -> None:
    run = run_suite("wrong-lif", *PLANTED, *NEURONS, profile="dev")
    assert run.code == 1, run.text
    assert {"test_value", "test_value_float64", "test_fused"} <= {test for test, _ in run.failed}
    assert {op for _, op in run.failed} == {"lif_multi_step"}
    assert "should be 1.0 (exact)" in run.text
    assert "wrong: lif_multi_step" in run.text


def test_wrong_primitive_is_named_and_blocks_what_is_made_of_it(run_suite: RunSuite) -> None:
    run = run_suite("wrong-spike", *PLANTED, *NEURONS, profile="dev")
    assert run.code == 1, run.text
    assert {"test_value", "test_value_float64", "test_special_values"} == {test for test, _ in run.failed}
    assert {op for _, op in run.failed} == {"spike"}
    assert "blocked by spike" in run.text


def test_a_composite_says_which_part_of_it_is_wrong(run_suite: RunSuite) -> None:
    run = run_suite("wrong-spike", *PLANTED, "-k", "test_fused and lif_step and not plif")
    assert run.failed == {("test_fused", "lif_step")}
    assert "spike, which it is made of, is wrong" in run.text


def test_forgotten_tail_of_a_kernel_is_found(run_suite: RunSuite) -> None:
    run = run_suite("wrong-sum", *PLANTED, "-k", "test_value and (sum or mean or layer_norm)")
    assert {op for _, op in run.failed} == {"sum"}


def test_missing_primitive_is_refused_by_name(run_suite: RunSuite) -> None:
    run = run_suite("no-tanh", *PLANTED)
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert "has no kernel for the primitives tanh;" in run.text


def test_what_a_backend_does_not_declare_is_skipped_and_counted(run_suite: RunSuite) -> None:
    run = run_suite("sound", *PLANTED, "-k", "add or transfer or errors", profile="dev")
    assert run.code == 0, run.text
    assert "skipped for capabilities: 7; deterministic_scatter 1; float64 5; ieee_special 1" in run.text


def test_expected_failures(run_suite: RunSuite, tmp_path: Path) -> None:
    file = tmp_path / "xfails.txt"
    options = (*PLANTED, "--grilly-xfails", str(file), "-k", "spike and test_value")
    file.write_text(
        "# known faults\ntest_value.py::test_value[spike] strict comparison\n"
        "test_value.py::test_value_float64[spike] strict comparison\n"
    )
    run = run_suite("wrong-spike", *options)
    assert run.code == 0, run.text
    assert "2 xfailed" in run.text

    file.write_text("test_value.py::test_value[spyke] gone\n")
    run = run_suite("wrong-spike", *options)
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert "test_value[spyke] is no test of the suite" in run.text

    file.write_text("test_value.py::test_value[spike]\n")
    assert "needs a reason" in run_suite("wrong-spike", *options).text


def test_an_expected_failure_that_passes_is_an_error(run_suite: RunSuite, tmp_path: Path) -> None:
    file = tmp_path / "xfails.txt"
    file.write_text("test_value.py::test_value[add] was wrong once\n")
    run = run_suite("numpy", "-q", "--grilly-xfails", str(file), "-k", "test_value and add")
    assert run.failed == {("test_value", "add")}
    assert "XPASS(strict)" in run.text


def test_impossible_options(run_suite: RunSuite) -> None:
    run = run_suite("nunpy", "-q")
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert "did you mean 'numpy'?" in run.text
    run = run_suite("numpy", "-q", profile="quick")
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert "must be one of dev, ci, nightly" in run.text
