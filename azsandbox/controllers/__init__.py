"""What makes a cluster live: controllers, scheduler and kubelet, all of them clients of its API."""
