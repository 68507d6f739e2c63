"""The Azure Policy add-on of a managed cluster.

installation  Gatekeeper's definitions, access and webhooks, there while the add-on is on
plane         what the add-on asks Azure: the policies that hold for the cluster; and tells it: how they are kept
constraints   the rules from a policy to a constraint, without input and output
agent         brings constraints into the cluster, keeps them so, and reports
processes     the agent runs while its Deployment has a pod
"""
