"""Every golden case has a test here."""

from __future__ import annotations

from oracle.golden import kinds, load, names

from grilly import functional, nn

COVERED = {
    "neuron",
    "stdp",
    "encoder",
    "converter",
    "bntt",
    "neunorm",
    "synapse",
    "tdbn",
    "tebn",
    "attention",
    "twa",
}
"""Kinds of cases that the modules beside this one test."""


def test_every_kind_of_case_is_known() -> None:
    assert kinds(names()) <= COVERED


def test_every_layer_of_the_cases_is_known() -> None:
    assert {load(name).layer for name in names()} <= {*nn.__all__, *functional.__all__}
