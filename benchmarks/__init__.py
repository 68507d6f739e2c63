"""Benchmarks: how long things take, printed with the machine they were measured on. Not tests: nothing fails by time."""
