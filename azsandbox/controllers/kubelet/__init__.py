"""The kubelets of all nodes, simulated in one: pods live their lives, but no container runs."""

from azsandbox.controllers.kubelet.kubelet import Kubelet

__all__ = ["Kubelet"]
