"""source-controller: artifacts from Git repositories, OCI repositories, Helm repositories and charts.

sources             the stages and conditions that all kinds have; outcomes: how a reconciliation ends other than well
git_repositories    GitRepository; git_checkout: which commit a reference means
git_remote          what a Git server has; git_access: how it is reached; git_fetch: commits that git keeps
git_verification    signatures
helm_repositories   HelmRepository; helm_access: how a repository is reached; chart_index: what index.yaml holds
helm_charts         HelmChart; chart_repositories: where charts come from; chart_building, chart: how they are made
oci_repositories    OCIRepository
buckets             Bucket, which is refused
artifact_server     where artifacts are fetched
ignore, tree        what stays out of an artifact; the files in it, and the archive of them
"""
