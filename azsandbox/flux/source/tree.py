"""Files as a commit or an artifact holds them, and the archive that an artifact is."""

from __future__ import annotations

import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from azsandbox.flux import archives
from azsandbox.flux.source.ignore import FILE, Rule, read_rules

# Modes in an archive, whatever they were (fluxcd/pkg/artifact/storage)
_FILE, _EXECUTABLE, _FOLDER = 0o600, 0o700, 0o750
MOST_UNPACKED = 512 * 1024 * 1024  # bytes; half of the memory that the release gives source-controller
_BLOCK, _LONGEST_NAME = 512, 100  # bytes, of the format (ustar)


@dataclass(frozen=True)
class File:
    """A regular file; a symbolic link is kept to be known, and is never archived."""

    data: bytes
    executable: bool = False
    link: bool = False


@dataclass
class Tree:
    """Files by their paths, and folders that exist though they hold none."""

    files: dict[str, File] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)

    def folders(self) -> set[str]:
        """Every folder but the root."""
        found = set(self.empty)
        for path in self.files:
            found.update(parents(path))
        for path in self.empty:
            found.update(parents(path))
        return found

    def holds(self, path: str) -> bool:
        """Whether a file or folder is there; the root always is."""
        path = cleaned(path)
        return not path or path in self.files or path in self.folders()

    def below(self, path: str) -> Tree:
        """What a folder holds, by paths below it."""
        path = cleaned(path)
        if not path:
            return self
        start = path + "/"
        files = {name[len(start) :]: file for name, file in self.files.items() if name.startswith(start)}
        return Tree(files, {name[len(start) :] for name in self.empty if name.startswith(start)})

    def put(self, path: str, other: Tree) -> None:
        """Adds another tree as the folder `path`."""
        start = cleaned(path)
        self.files |= {posixpath.join(start, name): file for name, file in other.files.items()}
        self.empty |= {posixpath.join(start, name) for name in other.empty}
        if start and not other.files:
            self.empty.add(start)

    def only(self, folders: Iterable[str]) -> Tree:
        """What a sparse checkout of `folders` leaves: paths that begin with one of them (go-git, SkipUnless)."""
        starts = tuple(folder.removeprefix("./") for folder in folders)
        return Tree({name: file for name, file in self.files.items() if name.startswith(starts)})

    def ignore_rules(self) -> list[Rule]:
        """The rules of every .sourceignore, those of deeper folders last."""
        found = [path for path in self.files if path.rpartition("/")[2] == FILE and not self.files[path].link]
        rules: list[Rule] = []
        for path in sorted(found, key=lambda p: p.split("/")[:-1]):
            domain = path.split("/")[:-1]
            rules += read_rules(self.files[path].data.decode("utf-8", "replace"), domain)
        return rules


def cleaned(path: str) -> str:
    """A path below the root, "" for the root itself; one that leads out stays at the root (SecureJoin)."""
    return posixpath.normpath("/" + path).strip("/").replace("//", "/")


def parents(path: str) -> Iterator[str]:
    """The folders that a path is in."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def archive(
    tree: Tree, leaves_out: Callable[[str, bool], bool] = lambda path, folder: False, *, folders: bool = True
) -> bytes:
    """A tree as a .tar.gz, without its `folders` if asked.

    Equal trees give equal archives: no times, no owners, modes of the kind alone.
    """
    names = [(path.split("/"), path, False) for path, file in tree.files.items() if not file.link]
    names += [(path.split("/"), path, True) for path in tree.folders()] if folders else []
    parts: list[bytes] = []
    for _, path, folder in sorted(names):
        if leaves_out(path, folder):
            continue
        if folder:
            parts.append(_header(path, _FOLDER, 0, tarfile.DIRTYPE))
            continue
        file = tree.files[path]
        mode = _EXECUTABLE if file.executable else _FILE
        parts += (_header(path, mode, len(file.data), tarfile.REGTYPE), file.data, b"\0" * (-len(file.data) % _BLOCK))
    parts.append(b"\0" * 2 * _BLOCK)
    return gzipped(b"".join(parts))


def _header(path: str, mode: int, size: int, kind: bytes) -> bytes:
    """The header of a member. Made by hand for the usual ones, of which an archive can have many thousand."""
    name = path.encode()
    if len(name) > _LONGEST_NAME or not path.isascii() or size >= 8**11:
        info = tarfile.TarInfo(path)
        info.mode, info.size, info.type = mode, size, kind
        return info.tobuf(tarfile.PAX_FORMAT)
    # name, mode, uid, gid, size, mtime, checksum (spaces while it is made), type, link, magic, owners, device, prefix
    fields = (name.ljust(100, b"\0"), b"%07o\0" % mode, b"0000000\0" * 2, b"%011o\0" % size, b"00000000000\0")
    start, end = b"".join(fields), kind + b"\0" * 100 + b"ustar\00000" + b"\0" * 64 + b"0000000\0" * 2 + b"\0" * 167
    return start + b"%06o\0 " % (sum(start) + sum(end) + 8 * ord(" ")) + end


def gzipped(data: bytes) -> bytes:
    """Data in gzip's format, without a time."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def unarchived(data: bytes) -> Tree:
    """The tree of a .tar.gz. Raises tarfile.TarError for what is none, leads out of it, or is too large.

    The words are those of fluxcd/pkg/tar. source-controller itself sets no limit, and is ended by its memory's.
    """
    tree, size = Tree(), 0
    with archives.opened(data, MOST_UNPACKED, plain=True) as source:
        for member in source:
            size += member.size
            if size > MOST_UNPACKED:
                raise tarfile.ReadError(f'tar "{member.name}" is bigger than max archive size of {MOST_UNPACKED} bytes')
            name = posixpath.normpath(member.name)
            if name.startswith(("/", "../")) or name == "..":
                raise tarfile.ReadError(f"tar file entry {member.name} contained unsafe name")
            if member.isfile() and (content := source.extractfile(member)):
                tree.files[name] = File(content.read(), bool(member.mode & 0o111))
            elif member.isdir() and name != ".":
                tree.empty.add(name)
    return tree
