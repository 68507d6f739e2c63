"""The baseline as the SDK's own objects, a module a step.

Each step has `body(settings)`, which gives the objects that its lesson builds up cell by cell; `exists(clients,
settings)`; and `ensure(clients, settings, wait)`, which makes what is not there and leaves alone what is. `steps`
has their order.
"""
