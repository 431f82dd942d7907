# ci-budget's own image: the command, a docker CLI with buildx for a mounted socket, and a whole engine with the
# filesystem tools, so that the same image can run a sandbox in a privileged container.
#   docker run --rm -v /var/run/docker.sock:/var/run/docker.sock --group-add "$(stat -c %g /var/run/docker.sock)" \
#     -v "$PWD:$PWD" -w "$PWD" ci-budget check
ARG BASE=python:3.11-slim

# The engine's programs from Debian packages, checked for age and that each one runs on this base.
FROM ${BASE} AS engine
RUN --mount=type=bind,source=scripts/engine-packages.sh,target=/engine-packages.sh \
    bash /engine-packages.sh /engine \
    && mkdir -p /image/usr/bin /image/usr/libexec/docker/cli-plugins \
    && cd /engine/root/usr \
    && cp -L bin/containerd bin/containerd-shim-runc-v2 bin/docker sbin/docker-proxy sbin/dockerd sbin/runc /image/usr/bin/ \
    && cp -L bin/tini-static /image/usr/bin/docker-init \
    && cp -L libexec/docker/cli-plugins/docker-buildx /image/usr/libexec/docker/cli-plugins/ \
    && rm -rf /engine

FROM ${BASE} AS package
WORKDIR /source
RUN --mount=type=bind,source=requirements-build.lock,target=/requirements-build.lock \
    python3 -m venv /build \
    && /build/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check --require-hashes \
        -r /requirements-build.lock
COPY . .
RUN /build/bin/python -m hatchling build -t wheel -d /wheel

FROM ${BASE} AS runtime
ENV PATH=/opt/ci-budget/bin:${PATH} \
    PYTHONUNBUFFERED=1
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates e2fsprogs git iproute2 iptables mount util-linux \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
    && useradd --uid 10001 --no-log-init --create-home ci-budget
COPY --from=engine /image /
# With byte code: a container starts with fresh files each time, and would compile them each time.
RUN --mount=type=bind,source=requirements.lock,target=/requirements.lock \
    --mount=type=bind,from=package,source=/wheel,target=/wheel \
    python3 -m venv --without-pip /opt/ci-budget \
    && pip --python /opt/ci-budget/bin/python install --no-cache-dir --disable-pip-version-check --require-hashes \
        -r /requirements.lock \
    && pip --python /opt/ci-budget/bin/python install --no-cache-dir --disable-pip-version-check --no-deps --no-index \
        /wheel/*.whl
USER ci-budget
WORKDIR /home/ci-budget
ENTRYPOINT ["ci-budget"]
CMD ["--help"]
