"""The checks of the baseline: what each one reads, how it judges, and what it says.

`core` has the model (Check, Result, Status), `evidence` reads, one module a part judges, `catalogue` brings the
texts of data/checks.toml and the functions together, `run` is what the lab, the command line and the tests call.
"""
