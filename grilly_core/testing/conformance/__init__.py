"""The published tests; see :mod:`grilly_core.testing` for how to run them."""
