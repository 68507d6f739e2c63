"""A Kubernetes API server: requests in, answers out, objects in a bucket of the store."""
