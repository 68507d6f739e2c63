"""What gives the pods of a managed cluster an identity in Entra ID.

issuer        the cluster's OpenID Connect issuer, which Entra trusts
installation  the azure-workload-identity webhook as AKS installs it
webhook       what the webhook does to pods
processes     the webhook as a process of its pods

and what brings secrets of a key vault into pods:

key_vault_provider  signs in as the pod or its node, and reads a vault
csi_mounts          the Secrets Store CSI driver: volumes, statuses, synced Secrets
rotation            what is mounted is read again
"""
