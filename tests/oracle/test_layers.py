"""The list of golden cases: what has a test here, and what does not exist yet."""

from __future__ import annotations

import pytest
from oracle.golden import kinds, load, names

from grilly import functional, nn

COVERED = {"neuron", "stdp", "encoder", "converter", "bntt", "neunorm", "synapse", "tdbn", "tebn"}

NOT_YET = {
    "attention": ("SpikingSelfAttention", "QKAttention"),
    "twa": ("TemporalWiseAttention",),
}
"""Kinds of cases and the layers they are of, which grilly does not have; the day it does, they are to be tested here."""


def test_every_kind_of_case_is_known() -> None:
    assert kinds(names()) <= COVERED | set(NOT_YET)


def test_every_layer_of_the_cases_is_known() -> None:
    known = {*nn.__all__, *functional.__all__, *(layer for row in NOT_YET.values() for layer in row)}
    assert {load(name).layer for name in names()} <= known


@pytest.mark.parametrize("layer", [layer for row in NOT_YET.values() for layer in row])
def test_a_layer_that_exists_is_not_listed_as_missing(layer: str) -> None:
    assert not hasattr(nn, layer) and not hasattr(functional, layer), f"test the golden cases of {layer} here"
