"""For those who teach and learn: exercises whose answers are checked."""

from semlib.teaching.exercises import check, ready

__all__ = ["check", "ready"]
