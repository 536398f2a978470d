"""The parts of the papermill driver, semlib.run: a notebook, its fingerprint, its execution, the record of runs."""
