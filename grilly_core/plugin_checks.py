"""What a plugin may get wrong, each said in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from grilly_core.backend import API_VERSION, FEATURES, Backend, BackendInfo, KernelTable
from grilly_core.spec import DTYPES

__all__ = ["backend_problem", "hook_problem", "info_problem"]


def hook_problem(plugin: Any, hooks: Iterable[str]) -> str | None:
    """A hook implementation that no hook of grilly calls; pluggy accepts those in silence."""
    known = list(hooks)
    implemented = 0
    for attribute in dir(plugin):
        options = getattr(getattr(plugin, attribute, None), "grilly_impl", None)
        if not isinstance(options, dict):
            continue
        implemented += 1
        hook = options.get("specname") or attribute
        if hook not in known:
            close = difflib.get_close_matches(hook, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            return f"{hook} is no hook of grilly; {hint}"
    if not implemented:
        return f"it implements no hook of grilly ({' or '.join(known)}); is @hookimpl missing?"
    return None


def info_problem(name: str, answers: list[Any]) -> str | None:
    """What is wrong with a plugin's answers to ``grilly_backend``."""
    if len(answers) != 1:
        return f"its hook grilly_backend must describe exactly one backend, it described {len(answers)}"
    info = answers[0]
    if not isinstance(info, BackendInfo):
        return f"its hook grilly_backend must return one BackendInfo, it returned {type(info).__name__}"
    if not isinstance(info.api_version, int):
        return f"its api_version must be an integer, it is {info.api_version!r}"
    if info.api_version != API_VERSION:
        newer = "grilly" if info.api_version > API_VERSION else "the plugin"
        return (
            f"it is written for plugin API {info.api_version}, this grilly has {API_VERSION}; update {newer}"
        )
    if info.name != name:
        return f"it calls itself {info.name!r}; entry point and BackendInfo must have one name"
    if not callable(info.open):
        return f"its open must be a function open(device, automatic), it is {info.open!r}"
    return None


def backend_problem(name: str, backend: Any) -> str | None:
    """What is wrong with what ``open()`` returned."""
    if not isinstance(backend, Backend):
        return f"open() must return a Backend, it returned {type(backend).__name__}"
    fields = ("name", "device", "dtypes", "features", "kernels")
    if missing := [field for field in fields if not hasattr(backend, field)]:
        return f"its Backend lacks {', '.join(missing)}"
    if backend.name != name:
        return f"its Backend calls itself {backend.name!r}; plugin and Backend must have one name"
    if not isinstance(backend.kernels, KernelTable):
        return f"its kernels must be a KernelTable, they are a {type(backend.kernels).__name__}"
    if unknown := sorted(set(backend.dtypes) - set(DTYPES)):
        return f"it declares unknown dtypes {', '.join(unknown)}; there are {', '.join(DTYPES)}"
    if unknown := sorted(set(backend.features) - FEATURES):
        return f"it declares unknown features {', '.join(unknown)}; there are {', '.join(sorted(FEATURES))}"
    return None
