"""Gatekeeper: constraint templates, constraints, admission and audit.

rego         the engine that judges
matching     which objects a constraint is about
gatekeeper   what a running Gatekeeper knows: templates and constraints, and what they say of an object
templates    follows ConstraintTemplates: compiles them, makes the definitions of their kinds
constraints  follows constraints of every kind
webhook      the two webhooks: judging what comes in, guarding the label that switches that off
audit        judging what is there already
installation what puts it into a cluster
"""
