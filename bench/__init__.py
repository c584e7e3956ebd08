"""Benchmarks on the real parts, as figures with goals; `make bench`."""
