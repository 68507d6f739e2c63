"""Odd requests to the API server, made of its own OpenAPI document: none may be answered with an error of the server's
own, and none may hang. `python -m tests.fuzz` sends as many as it is told; the tests send a few."""
