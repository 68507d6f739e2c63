"""What a commit says: the template of an ImageUpdateAutomation over what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from azsandbox.flux.image.setters import Change, Changes, ObjectId
from azsandbox.flux.image.templates import functions, sprig
from azsandbox.flux.image.templates.lexer import TemplateError
from azsandbox.flux.image.templates.parser import parse
from azsandbox.flux.image.templates.runner import run
from azsandbox.flux.image.templates.values import Struct

DEFAULT = "Update from image update automation"
_FUNCTIONS = functions.FUNCTIONS | sprig.FUNCTIONS
_NAME = "commit message"
_SEE = "See: https://fluxcd.io/flux/components/image/imageupdateautomations/#message-template"
_REMOVED = {
    "can't evaluate field Updated in type source.TemplateData": (
        f"template uses removed '.Updated' field. Please use '.Changed' instead. {_SEE}"
    ),
    "can't evaluate field ImageResult in type update.Result": (
        "template uses removed '.Changed.ImageResult' field. Please use '.Changed.FileChanges' or '.Changed.Objects' "
        f"instead. {_SEE}"
    ),
}


class BadMessage(ValueError):
    """A template that does not make a message."""


class RemovedField(BadMessage):
    """A template that uses what earlier versions of Flux had."""


@dataclass(frozen=True, order=True)
class _NamespacedName(Struct):
    GO = "types.NamespacedName"
    Namespace: str
    Name: str

    def String(self) -> str:  # noqa: N802
        return f"{self.Namespace}/{self.Name}"


@dataclass(frozen=True, order=True)
class _Result(Struct):
    GO = "update.Result"
    FileChanges: dict[str, dict[ObjectId, list[Change]]]

    def Changes(self) -> list[Change]:  # noqa: N802
        return Changes(self.FileChanges).all()

    def Objects(self) -> dict[ObjectId, list[Change]]:  # noqa: N802
        return Changes(self.FileChanges).objects()


@dataclass(frozen=True, order=True)
class _Data(Struct):
    GO = "source.TemplateData"
    AutomationObject: _NamespacedName
    Changed: _Result
    Values: Mapping[str, str]


def commit_message(template: str, namespace: str, name: str, changes: Changes, values: Mapping[str, str]) -> str:
    """The message for changes by an automation, with its spec.git.commit.messageTemplateValues. Raises BadMessage."""
    try:
        tree = parse(_NAME, template or DEFAULT, _FUNCTIONS)
    except TemplateError as error:
        raise BadMessage(f"unable to create commit message template from spec: {error}") from None
    try:
        return run(tree, _Data(_NamespacedName(namespace, name), _Result(changes.by_file), values), _FUNCTIONS)
    except TemplateError as error:
        for text, removed in _REMOVED.items():
            if text in str(error):
                raise RemovedField(removed) from None
        raise BadMessage(f"failed to run template from spec: {error}") from None
