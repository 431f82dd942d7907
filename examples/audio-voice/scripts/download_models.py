"""Fetch the models onto their volume, at run time.

    python scripts/download_models.py [--manifest PATH_OR_URL] [--models FOLDER] [--mirror URL] [--jobs N] [--check]

Standard library only. The manifest names every file with its URL, size in bytes and SHA-256; nothing else is ever put
under its final name. A file arrives as NAME.part, goes on where it stopped (HTTP Range), is verified, and is renamed
in one step. A file that was verified is not fetched or read again. URLs in the manifest may be relative to it.

Exit status: 0 all models are there; 1 a download failed, or --check found one missing; 2 usage or a bad manifest;
3 not enough space (twice what is still to be fetched must be free); 130 interrupted.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import errno
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

CHUNK = 1 << 20
FREE_FACTOR = 2
LARGEST_MANIFEST = 1 << 20
STAMP = ".verified"


class DownloadError(Exception):
    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class RetryError(Exception):
    """This attempt failed in a way that another attempt may mend."""


RETRIED = (RetryError, urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    path: PurePosixPath
    url: str
    size: int
    sha256: str


class Progress:
    """Bytes fetched so far, on stderr: one live line on a terminal, else a line at each tenth."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._shown = total, 0, -1
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            live = sys.stderr.isatty()
            step = (100 if live else 10) * self._done // max(1, self._total)
            if step != self._shown:
                self._shown = step
                text = f"models: {self._done / 1e6:.0f} of {self._total / 1e6:.0f} MB"
                print(f"\r{text} " if live else text, end="" if live else "\n", file=sys.stderr, flush=True)


def read_manifest(source: str, timeout: float) -> list[ModelFile]:
    """Raises DownloadError with status 2 for a manifest that cannot be read or is not what it should be."""
    try:
        if source.startswith(("http://", "https://")):
            with urllib.request.urlopen(source, timeout=timeout) as answer:
                text = answer.read(LARGEST_MANIFEST + 1)
        else:
            text = Path(source).read_bytes()
    except OSError as error:
        raise DownloadError(f"cannot read the manifest {source}: {error}", 2) from error
    if len(text) > LARGEST_MANIFEST:
        raise DownloadError(f"the manifest {source} is larger than {LARGEST_MANIFEST} bytes", 2)
    try:
        data = json.loads(text)
        if data["version"] != 1:
            raise ValueError(f"version {data['version']!r} is not 1")
        files = [model_file(entry, source) for model in data["models"] for entry in model["files"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DownloadError(f"the manifest {source} is wrong: {type(error).__name__}: {error}", 2) from error
    if len({file.path for file in files}) != len(files):
        raise DownloadError(f"the manifest {source} names a path twice", 2)
    return files


def model_file(entry: dict[str, Any], source: str) -> ModelFile:
    path = PurePosixPath(entry["path"])
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"path {entry['path']!r} does not lie below the models folder")
    size, sha256 = entry["size"], entry["sha256"]
    if type(size) is not int or size < 0:
        raise ValueError(f"{path}: size {size!r} is not a number of bytes")
    if not isinstance(sha256, str) or len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise ValueError(f"{path}: sha256 {sha256!r} is not 64 hexadecimal digits")
    url = urllib.parse.urljoin(source, entry["url"])
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{path}: {url!r} is not an HTTP URL")
    return ModelFile(path=path, url=url, size=size, sha256=sha256)


def mirrored(url: str, mirror: str | None) -> str:
    """`url` with its scheme and host replaced by those of `mirror`, below the mirror's own path."""
    if not mirror:
        return url
    parts = urllib.parse.urlsplit(url)
    return mirror.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")


def stamp_of(target: Path) -> Path:
    return target.with_name(f".{target.name}{STAMP}")


def is_there(file: ModelFile, models: Path) -> bool:
    """Whether the file lies there verified. One without a stamp (copied by hand) is hashed once."""
    target = models / file.path
    try:
        found = target.stat()
    except FileNotFoundError:
        return False
    if found.st_size != file.size:
        return False
    stamp, expected = stamp_of(target), f"{file.sha256} {found.st_mtime_ns}"
    if stamp.exists() and stamp.read_text() == expected:
        return True
    with target.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != file.sha256:
            return False
    stamp.write_text(expected)
    return True


def part_of(file: ModelFile, models: Path) -> Path:
    target = models / file.path
    return target.with_name(f"{target.name}.part")


def check_space(files: list[ModelFile], models: Path) -> None:
    missing = 0
    for file in files:
        part = part_of(file, models)
        missing += max(0, file.size - (part.stat().st_size if part.exists() else 0))
    free = shutil.disk_usage(models).free
    if free < FREE_FACTOR * missing:
        raise DownloadError(
            f"{missing} bytes are to be fetched and {free} are free in {models}; "
            f"{FREE_FACTOR} x as much must be free: {FREE_FACTOR * missing}. Give the volume more room.",
            3,
        )


def attempt(file: ModelFile, url: str, part: Path, timeout: float, progress: Progress) -> None:
    """One request; afterwards `part` is complete and right. Raises RetryError where another attempt may mend it."""
    digest = hashlib.sha256()
    have = 0
    if part.exists() and part.stat().st_size <= file.size:
        with part.open("rb") as stream:
            while block := stream.read(CHUNK):
                digest.update(block)
                have += len(block)
    if have < file.size or not part.exists():
        request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
        if have:
            request.add_header("Range", f"bytes={have}-")
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            if have and not (
                answer.status == 206 and (answer.headers["Content-Range"] or "").startswith(f"bytes {have}-")
            ):
                progress.add(-have)
                have, digest = 0, hashlib.sha256()
            with part.open("r+b" if have else "wb") as stream:
                stream.seek(have)
                while block := answer.read(CHUNK):
                    have += len(block)
                    if have > file.size:
                        break
                    stream.write(block)
                    digest.update(block)
                    progress.add(len(block))
                stream.truncate()
                stream.flush()
                os.fsync(stream.fileno())
    if have < file.size:
        raise RetryError(f"the connection ended after {have} of {file.size} bytes")
    if have > file.size or digest.hexdigest() != file.sha256:
        part.unlink()
        progress.add(-min(have, file.size))
        raise RetryError(
            f"more than {file.size} bytes came" if have > file.size else f"SHA-256 is {digest.hexdigest()}"
        )


def fetch(file: ModelFile, models: Path, options: argparse.Namespace, progress: Progress) -> None:
    """Raises DownloadError once all attempts are used up, or at once where the volume is full."""
    target, part = models / file.path, part_of(file, models)
    url = mirrored(file.url, options.mirror)
    reason = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for number in range(options.retries + 1):
            if number:
                time.sleep(min(30.0, options.pause * 2 ** (number - 1)))
            try:
                attempt(file, url, part, options.timeout, progress)
                part.replace(target)
                stamp_of(target).write_text(f"{file.sha256} {target.stat().st_mtime_ns}")
                return
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code} {error.reason}"
                if error.code == 416:  # the part does not fit what the server has now
                    part.unlink(missing_ok=True)
                elif error.code < 500 and error.code not in (408, 429):
                    break
            except RETRIED as error:
                reason = str(error) or type(error).__name__
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadError(f"{file.path}: the volume is full; what came is kept in {part}", 3) from error
        raise DownloadError(f"{file.path}: {error}") from error
    raise DownloadError(f"{file.path} from {url}: {reason}; expected {file.size} bytes with SHA-256 {file.sha256}")


def run(options: argparse.Namespace) -> int:
    files = read_manifest(options.manifest, options.timeout)
    models = Path(options.models)
    try:
        models.mkdir(parents=True, exist_ok=True)
        lock = (models / ".download.lock").open("w")
    except OSError as error:
        raise DownloadError(f"cannot write to {models}: {error}") from error
    with lock:  # two containers may share the volume: the second waits, then finds everything there
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = [file for file in files if not is_there(file, models)]
        if options.check or not wanted:
            for file in wanted:
                print(f"models: missing: {file.path} ({file.size} bytes)")
            print(f"models: {len(files) - len(wanted)} of {len(files)} files are there in {models}")
            return 1 if wanted else 0
        check_space(wanted, models)
        progress = Progress(sum(file.size for file in wanted))
        for file in wanted:
            part = part_of(file, models)
            if part.exists() and part.stat().st_size <= file.size:
                progress.add(part.stat().st_size)
        failures = []
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for future in [pool.submit(fetch, file, models, options, progress) for file in wanted]:
                try:
                    future.result()
                except DownloadError as failure:
                    failures.append(failure)
                    print(f"models: {failure}", file=sys.stderr)
        if failures:
            raise DownloadError(
                f"{len(failures)} of {len(wanted)} files failed", max(failure.status for failure in failures)
            )
    print(f"models: fetched {len(wanted)} files, {sum(file.size for file in wanted)} bytes, into {models}")
    return 0


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    variant = os.environ.get("AUDIO_VOICE_VARIANT", "light")
    parser = argparse.ArgumentParser(description="Fetch the models onto their volume.", allow_abbrev=False)
    parser.add_argument("--manifest", default=str(root / "models" / f"{variant}.json"), help="path or URL")
    parser.add_argument("--models", default=os.environ.get("AUDIO_VOICE_MODELS", str(root / "models-data")))
    parser.add_argument("--mirror", default=os.environ.get("AUDIO_VOICE_MIRROR"), help="takes the place of every host")
    parser.add_argument("--jobs", type=int, default=4, choices=range(1, 33), metavar="1..32")
    parser.add_argument("--retries", type=int, default=5, choices=range(101), metavar="0..100")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds before the first retry; doubles each time")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds without an answer")
    parser.add_argument("--check", action="store_true", help="only say what is missing")
    try:
        return run(parser.parse_args())
    except DownloadError as failure:
        print(f"models: {failure}", file=sys.stderr)
        return failure.status
    except KeyboardInterrupt:
        print("models: interrupted; the parts that came are kept", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
