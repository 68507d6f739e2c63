"""What the real services answered, replayed against the sandbox: `python -m tests.fidelity`."""
