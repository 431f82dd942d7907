"""The Docker daemon's API: the only module that imports the docker SDK."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, cast

import docker
import docker.errors
import docker.types

from ci_budget.core.prune_plan import CacheEntry, StoredImage
from ci_budget.edges.engine.facts import CacheRecord, ContainerEnd, EngineFacts, ImageFacts, read_image, read_unstarted
from ci_budget.edges.engine.saved_images import saved_image
from ci_budget.edges.engine.storage import cache_entries, read_moment, stored_images
from ci_budget.errors import UnmeasuredError

OLDEST_ENGINE = (23, 0)
START_ENGINE = "Start one that this user may use, or name another with DOCKER_HOST or `docker context use`."
_TIMEOUT = 120
_PATIENCE = 15
_KEPT_LOG = 20_000


class DockerEngine:
    """One engine, by its address (`unix:///…`, `tcp://…`)."""

    def __init__(self, docker_host: str) -> None:
        self.docker_host = docker_host
        self._facts: EngineFacts | None = None
        try:
            self._client = docker.DockerClient(base_url=docker_host, timeout=_TIMEOUT, version="auto")
        except (docker.errors.DockerException, OSError, ValueError) as error:
            problem = f"no Docker engine answers at {docker_host} ({_reason(error)})"
            if "Permission denied" in str(error):
                problem = f"this user may not use the Docker engine at {docker_host}"
            raise UnmeasuredError(problem, mend=START_ENGINE) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def answers(self) -> bool:
        """Whether the engine still answers, within seconds."""
        try:
            known = self._client.api.api_version
            client = docker.APIClient(base_url=self.docker_host, timeout=_PATIENCE, version=known)
            with contextlib.closing(client):
                return bool(client.ping())
        except (docker.errors.DockerException, OSError):
            return False

    def facts(self) -> EngineFacts:
        """Version, storage driver, data-root and the rest, asked once. Raises UnmeasuredError when it is too old."""
        if self._facts is None:
            self._facts = self._ask_facts()
        return self._facts

    def _ask_facts(self) -> EngineFacts:
        with _explained("asking the engine what it is"):
            info, version = self._client.info(), self._client.version()
        text = str(version.get("Version", "0"))
        if _numbers(text) < OLDEST_ENGINE:
            raise UnmeasuredError(
                f"the Docker engine at {self.docker_host} is {text}; ci-budget needs 23.0 or newer",
                mend="Upgrade the engine; `ci-budget doctor` checks the rest.",
            )
        status = {str(row[0]): str(row[1]) for row in info.get("DriverStatus") or [] if len(row) == 2}
        return EngineFacts(
            id=str(info.get("ID") or ""),
            version=text,
            storage_driver=str(info.get("Driver", "")),
            data_root=str(info.get("DockerRootDir", "")),
            platform=f"{version.get('Os', 'linux')}/{version.get('Arch', '')}",
            kernel=str(info.get("KernelVersion", "")),
            runtimes=tuple(sorted(info.get("Runtimes") or {})),
            security_options=tuple(info.get("SecurityOptions") or ()),
            containerd_store="io.containerd.snapshotter" in status.get("driver-type", ""),
        )

    def image(self, reference: str) -> ImageFacts | None:
        """What is known of a local image; None when the engine has none of that name."""
        found = self._inspect(reference)
        if found is None:
            return None
        return read_image(found)

    def history(self, reference: str) -> tuple[str, ...]:
        """The commands that made a local image, the oldest first."""
        with _explained(f"asking for the history of {reference}"):
            found = cast("Any", self._client.api).history(reference)
        return tuple(str(step.get("CreatedBy") or step.get("Comment") or "") for step in reversed(found))

    def saved(self, reference: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Opens the archive of a local image, as `docker save` prints it; raises UnmeasuredError as `saved_image`."""
        return saved_image(self.docker_host, str(self._client.api.api_version), reference)

    def tag(self, reference: str, name: str) -> None:
        """Give an image one more name (`repository:tag`)."""
        repository, tag = split_tag(name)
        with _explained(f"naming {reference} {name}"):
            self._client.api.tag(reference, repository, tag)

    def remove_image(self, reference: str) -> None:
        """Take a name away from an image; one that is gone already is no error."""
        with contextlib.suppress(docker.errors.NotFound), _explained(f"removing {reference}"):
            self._client.api.remove_image(reference, force=True)

    def image_names(self, pattern: str) -> list[str]:
        """The names of local images that match a pattern such as `name*`."""
        with _explained("listing the images"):
            found = self._client.api.images(filters={"reference": pattern})
        return [str(name) for item in found for name in item.get("RepoTags") or ()]

    def container_labels(self, label: str) -> list[tuple[str, str]]:
        """Id and value of every container with a label."""
        with _explained("listing containers"):
            found = self._client.api.containers(all=True, filters={"label": label})
        return [(str(item["Id"]), str((item.get("Labels") or {}).get(label, ""))) for item in found]

    def cache_records(self) -> list[CacheRecord]:
        """The build cache, record by record."""
        with _explained("listing the build cache"):
            answer = self._client.api.df()
        return [
            CacheRecord(
                id=str(item["ID"]),
                kind=str(item.get("Type", "")),
                size=int(item.get("Size") or 0),
                description=str(item.get("Description") or ""),
                created=read_moment(str(item.get("CreatedAt") or "")),
                last_used=read_moment(str(item.get("LastUsedAt") or "")),
            )
            for item in answer.get("BuildCache") or []
        ]

    def drop_cache_records(self, ids: Sequence[str]) -> None:
        """Remove these records of the build cache, and no others. One that another is built on stays until that one is
        gone; one that is in use stays."""
        left = list(ids)
        removed = True
        while left and removed:
            removed = False
            for ident in left.copy():
                with _explained("removing build cache"):
                    answer = self._client.api.prune_builds(filters=cast("Any", {"id": ident}), all=True)
                if ident in (answer.get("CachesDeleted") or ()):
                    left.remove(ident)
                    removed = True

    def log_driver(self) -> str:
        """The log driver that containers get unless they name another."""
        with _explained("asking the engine what it is"):
            return str(self._client.info().get("LoggingDriver", ""))

    def insecure_registries(self) -> tuple[str, ...]:
        """The registries that the engine reaches by plain http, or without a look at their certificate."""
        with _explained("asking the engine what it is"):
            found = self._client.info().get("RegistryConfig") or {}
        named = [name for name, index in (found.get("IndexConfigs") or {}).items() if index.get("Secure") is False]
        return (*named, *(str(network) for network in found.get("InsecureRegistryCIDRs") or ()))

    def largest_image(self) -> tuple[str, int] | None:
        """Name (or short id) and bytes of the largest image, as the engine counts; None where there is none."""
        with _explained("listing the images"):
            found = self._client.api.images()
        images = [(int(one["Size"]), str(next(iter(one.get("RepoTags") or ()), one["Id"][7:19]))) for one in found]
        size, name = max(images, default=(0, ""))
        return (name, size) if images else None

    def storage(self) -> tuple[list[StoredImage], list[CacheEntry]]:
        """Images with what would go with each, and the build cache; `last_used` as far as the engine remembers."""
        with _explained("asking the engine what takes its disk"):
            answer = self._client.api.df()
            held = {str(one["ImageID"]) for one in self._client.api.containers(all=True)}
        tagged = {str(item["Id"]): self._tagged(str(item["Id"])) for item in answer.get("Images") or []}
        return stored_images(answer, held, tagged), cache_entries(answer)

    def prune_cache(self, older: int) -> int:
        """Remove build cache unused for `older` seconds or longer; returns the bytes that the engine says it freed."""
        with _explained("removing build cache"):
            done = self._client.api.prune_builds(filters=cast("Any", {"until": f"{older}s"}), all=True)
        return int(done.get("SpaceReclaimed") or 0)

    def drop_unused_image(self, ident: str, names: Sequence[str]) -> None:
        """Remove an image by its names, or its id where it has none, never by force.

        Raises UnmeasuredError when a container or another image needs it.
        """
        for reference in names or (ident,):
            with contextlib.suppress(docker.errors.NotFound), _explained(f"removing {reference}"):
                self._client.api.remove_image(reference, force=False)

    def remove_container(self, ident: str) -> None:
        """End and remove a container with its anonymous volumes."""
        with contextlib.suppress(docker.errors.NotFound), _explained("removing a container"):
            self._client.api.remove_container(ident, force=True, v=True)

    def _inspect(self, reference: str) -> dict[str, Any] | None:
        try:
            with _explained(f"looking at the image {reference}"):
                found: dict[str, Any] = self._client.images.get(reference).attrs
        except docker.errors.NotFound:
            return None
        return found

    def _tagged(self, ident: str) -> float:
        found = self._inspect(ident)
        return read_moment(str((found.get("Metadata") or {}).get("LastTagTime") or "")) if found else 0.0

    def run_container(
        self,
        image: str,
        command: Sequence[str],
        *,
        timeout: float,
        labels: Mapping[str, str],
        gpu: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> ContainerEnd:
        """Run a command in a fresh container without network until it ends; the container is removed.

        `gpu`: None, "cdi" or "nvidia". The log is the last 20,000 characters. A command that the image cannot start
        ends as in a shell, with 126 or 127, and its log is the reason.
        """
        options: dict[str, Any] = {"network_disabled": False, "network_mode": "none"}
        if gpu is not None:
            request: dict[str, Any] = (
                {"driver": "cdi", "device_ids": ["nvidia.com/gpu=all"]}
                if gpu == "cdi"
                else {"driver": "nvidia", "count": -1, "capabilities": [["gpu"]]}
            )
            options["device_requests"] = [docker.types.DeviceRequest(**request)]
        with _explained("running the smoke test"):
            container = self._client.containers.create(
                image,
                entrypoint=[command[0]],
                command=list(command[1:]),
                labels=dict(labels),
                environment=dict(environment or {}),
                **options,
            )
        try:
            with _explained("running the smoke test"):
                try:
                    container.start()
                except docker.errors.APIError as error:
                    container.reload()
                    end = read_unstarted(str(error.explanation or error), container.attrs["State"])
                    if end is None:
                        raise
                    return end
            code: int | None
            try:
                code = int(container.wait(timeout=timeout)["StatusCode"])
            except OSError as error:  # the client library's time-out; it has no error of its own for it
                if not self.answers():
                    raise UnmeasuredError("the engine ended in the middle of the smoke test") from error
                code = None
                with contextlib.suppress(docker.errors.APIError):
                    container.kill()
            with _explained("reading what the smoke test printed"):
                log = bytes(container.logs(tail=400))[-_KEPT_LOG:].decode("utf-8", "replace")
        finally:
            with contextlib.suppress(docker.errors.APIError, OSError):
                container.remove(force=True, v=True)
        return ContainerEnd(exit_code=code, log=log)


def split_tag(name: str) -> tuple[str, str]:
    """`host:5000/app:1.2` -> (`host:5000/app`, `1.2`); without a tag it is `latest`."""
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "latest")


@contextlib.contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Every failure of the API but "not found" becomes an UnmeasuredError that says what we were doing."""
    try:
        yield
    except docker.errors.NotFound:
        raise
    except docker.errors.DockerException as error:
        raise UnmeasuredError(f"{doing} failed: {_reason(error)}") from error
    except OSError as error:  # what the HTTP library raises
        raise UnmeasuredError(f"{doing} failed: the engine does not answer ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    text = str(getattr(error, "explanation", None) or error)
    return text if len(text) <= 300 else f"{text[:297]}..."


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split("+")[0].split("-")[0].split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)
