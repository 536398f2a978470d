"""semlib: reproducible scanning-electron-microscope papers, one thin package under eight notebooks."""

__version__ = "0.1.0"
