"""What tests import: strategies, a case per op, tolerances, and the published conformance suite.

Run the suite against an installed backend::

    pytest -p grilly_core.testing.plugin --pyargs grilly_core.testing.conformance --grilly-backend NAME[:device]
"""
