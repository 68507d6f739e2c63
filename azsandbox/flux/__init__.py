"""Flux: what `flux install` puts into a cluster, and the reconcilers that act for its controllers."""
