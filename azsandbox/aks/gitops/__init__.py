"""GitOps on a managed cluster: the extension microsoft.flux and the agents that it installs.

extension           installs and removes the release, as the extension's operator does
release, settings   what is in it
processes           the two agents, which run while their Deployments have pods
agent               fluxconfig-agent: from Azure's configurations to FluxConfigs, and their status back
controller          fluxconfig-controller: from a FluxConfig to Flux's objects, and their status
objects, compliance the rules of both, without input and output
"""
