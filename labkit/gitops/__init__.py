"""GitOps: the learner's repository, Flux's objects in the cluster, and how the two stand to each other.

scaffold     the monorepo of the series: apps, infrastructure, clusters; staging and production
checkout     the clone of it that the learner works in
documents    what is in it, read
state        Flux's state as a tree: sources, Kustomizations, releases, and the objects that they keep
waiting      until the cluster stands as a commit says
difference   what Git says beside what runs
"""
