"""Which reconcilers a controller of Flux has."""

from __future__ import annotations

from azsandbox.controllers.informer import Controller


def reconcilers_of(program: str) -> list[type[Controller]]:
    """The reconcilers of a controller; imported when it starts, since most clusters have no Flux."""
    if program == "source-controller":
        from azsandbox.flux.source import reconcilers as source

        return source.RECONCILERS
    if program == "kustomize-controller":
        from azsandbox.flux.kustomize import reconcilers as kustomize

        return kustomize.RECONCILERS
    if program == "helm-controller":
        from azsandbox.flux.helm import reconcilers as helm

        return helm.RECONCILERS
    if program == "notification-controller":
        from azsandbox.flux.notification import reconcilers as notification

        return notification.RECONCILERS
    if program in ("image-reflector-controller", "image-automation-controller"):
        from azsandbox.flux.image import reconcilers as image

        return [kind for kind in image.RECONCILERS if kind.name == program]
    raise KeyError(program)
