"""semlib: papers on scanning electron micrographs made reproducible, under eight notebooks."""

__version__ = "0.1.0"
