"""The logs of a managed cluster's control plane, for as long as a diagnostic setting sends them somewhere.

settings       which categories of a cluster go to which workspaces
control_plane  watches one cluster's API server and turns what happens into records
klog           lines as Kubernetes' components write them
guard          what AKS's guard says of Entra's identities
records        rows of the workspace's tables
metrics        the platform metrics that diagnostic settings export
"""
