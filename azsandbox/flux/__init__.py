"""Flux: what an installation of it puts into a cluster, and the reconcilers that act for its controllers.

installation   definitions, accounts, Deployments
processes      a controller's reconcilers run while its Deployment has a pod
runtime        what the reconcilers of one cluster share besides its API: artifacts, the way out, events, logs
reconciler     the stages that every reconciliation of Flux has
conditions     kstatus conditions; status: how they are written
web, network   requests, over connections that are kept, with failures in Go's words; secrets: credentials for them
oci            a client of registries; oci_credentials, azure: who one is to them
semver         versions and ranges; globs, patterns, quoting, durations: Go's
object_refs    what names an object in an inventory; rest_mapping: which resource a kind is
kstatus        how far an object has come; expressions: CEL for it; waiting: until it is there, or gone
source, kustomize, helm, notification, image: a package a controller
"""
