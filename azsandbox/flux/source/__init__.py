"""source-controller: artifacts from Git repositories, OCI repositories, Helm repositories and charts."""
