"""``python -m semlib.bench``: each fast path beside its plain reference, in one run, with the same values.

A stage is a function that makes its input and returns a `semlib.bench.case.Case`; `semlib.bench.stages` lists them.
"""
