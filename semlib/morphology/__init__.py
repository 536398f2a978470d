"""Self-supervised multi-resolution clustering (Sci Rep 2026, doi 10.1038/s41598-026-46947-3)."""
