"""SEMNR: a trust profile for denoisers instead of a single score."""
