"""semlib: papers on scanning electron micrographs made reproducible, under eight notebooks."""

__version__ = "0.2.0"
