"""The documents of a repository of manifests: what each is, and of secrets only the names of their keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

Object = dict[str, Any]
SUFFIXES = (".yaml", ".yml")
LONGEST = 2_000_000  # bytes of a file; a longer one is no manifest that anyone wrote


def read(folder: Path) -> Object:
    """What is in the checkout at `folder`: its folders, its documents, and the files that are no YAML.

    A document has `file`, `apiVersion`, `kind`, `name`; a Kustomization of Flux its `spec` as well; a Secret has
    `keys` with the state of each value: "encrypted" or "plain". Values of Secrets are never kept.
    """
    documents: list[Object] = []
    broken: list[Object] = []
    for file in _files(folder):
        name = file.relative_to(folder).as_posix()
        try:
            documents += [_document(name, item) for item in _parsed(file) if isinstance(item, dict)]
        except ValueError as error:
            broken.append({"file": name, "problem": str(error)})
    folders = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_dir() and ".git" not in path.relative_to(folder).parts
    )
    return {"root": str(folder), "folders": folders, "documents": documents, "broken": broken}


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if ".git" not in path.relative_to(folder).parts and path.suffix in SUFFIXES and path.is_file():
            yield path


def _parsed(file: Path) -> list[Any]:
    import yaml

    if file.stat().st_size > LONGEST:
        raise ValueError(f"it has more than {LONGEST} bytes")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return list(yaml.load_all(file.read_text(encoding="utf-8"), loader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        # The text around the error may hold a secret, so only where it is is told.
        raise ValueError(f"it is no YAML{where}") from None


def _document(file: str, item: Object) -> Object:
    metadata = item.get("metadata") if isinstance(item.get("metadata"), dict) else {}
    found: Object = {
        "file": file,
        "apiVersion": str(item.get("apiVersion") or ""),
        "kind": str(item.get("kind") or ""),
        "name": str((metadata or {}).get("name") or ""),
        "namespace": str((metadata or {}).get("namespace") or ""),
    }
    if found["kind"] == "Kustomization":
        found["spec"] = item.get("spec") or {}
        literals = [g.get("literals") for g in item.get("secretGenerator") or [] if isinstance(g, dict)]
        found["literals"] = sum(len(entry) for entry in literals if isinstance(entry, list))
    if found["kind"] == "Secret":
        found["sops"] = isinstance(item.get("sops"), dict)
        found["keys"] = _secret_keys(item)
    return found


def _secret_keys(item: Object) -> dict[str, str]:
    """Whether each value is encrypted by SOPS, by its key."""
    values = {**(item.get("data") or {}), **(item.get("stringData") or {})}
    return {key: "encrypted" if str(value).startswith("ENC[") else "plain" for key, value in values.items()}
