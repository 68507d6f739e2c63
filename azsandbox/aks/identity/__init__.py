"""What gives the pods of a managed cluster an identity in Entra ID.

issuer        the cluster's OpenID Connect issuer, which Entra trusts
installation  the azure-workload-identity webhook as AKS installs it
webhook       what the webhook does to pods
processes     the webhook as a process of its pods
"""
