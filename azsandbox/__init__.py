"""An Azure on loopback: Resource Manager, Entra ID and Kubernetes that real clients take for the cloud."""
