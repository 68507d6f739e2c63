"""source-controller: artifacts from Git repositories, OCI repositories, Helm repositories and charts.

sources           the stages and conditions that all of them have
git_repositories  GitRepository
git_remote        what a Git server advertises
git_fetch         a commit and its tree, by git
git_access        how a repository is reached: URL, Secret, proxy
ignore            the rules of .sourceignore and spec.ignore
tree              files of a commit or an artifact, and the archive of them
"""
