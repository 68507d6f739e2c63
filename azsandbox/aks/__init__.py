"""What a stored managed cluster makes happen: a Kubernetes API, nodes, workloads, upgrades, the autoscaler."""
