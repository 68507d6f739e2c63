"""kustomize-controller: builds overlays, applies them, and keeps the cluster as they say."""
