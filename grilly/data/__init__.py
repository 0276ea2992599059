"""Data sets and batches, as plain NumPy arrays."""

from grilly.data.datasets import Dataset, load, load_digits, load_idx, stratified_split
from grilly.data.idx import read_idx
from grilly.data.loader import DataLoader
from grilly.data.npz import NpzArrays, load_inputs, load_npz

__all__ = [
    "DataLoader", "Dataset", "NpzArrays", "load", "load_digits", "load_idx", "load_inputs", "load_npz",
    "read_idx", "stratified_split",
]  # fmt: skip
