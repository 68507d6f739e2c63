"""The Git host: GitHub on loopback, with real git behind it.

    git_host       GitHost: the repositories, accounts, tokens and hooks of a sandbox; who listens to pushes
    repositories   which repositories there are; repository: one of them, read in this process
    public         stand-ins of public repositories, which Azure's documentation follows
    smart_http     github.com: clone, fetch and push over HTTP, by git's own http-backend
    rest           api.github.com: a subset of GitHub's REST API
    hooks          web hooks and their deliveries

Others in the sandbox read with `host.git.repositories.get("contoso", "gitops")`, a `Repository` with `resolve(branch)`,
`commit(revision)` and `export(commit, folder)`, and learn of pushes with `host.git.on_push(callback)`.
"""
