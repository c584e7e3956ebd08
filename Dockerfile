# One image for the operator, the sync Job and the emulator; they differ in their arguments only.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
COPY requirements/runtime.txt /tmp/runtime.txt
RUN python3 -m venv /opt/entrasync \
 && /opt/entrasync/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/runtime.txt \
 && /opt/entrasync/bin/python -m compileall -q /opt/entrasync/lib \
 && /opt/entrasync/bin/pip uninstall -y -q pip setuptools

FROM ${BASE}
LABEL org.opencontainers.image.title="entrasync" \
      org.opencontainers.image.description="Declarative Microsoft Entra Connect Sync for Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=dependencies /opt/entrasync /opt/entrasync
COPY operator/entrasync /opt/entrasync/app/entrasync
# the package is pure Python: a path and a two-line command are all its installation
RUN printf '#!/opt/entrasync/bin/python\nimport sys\nfrom entrasync.cli.main import main\nsys.exit(main())\n' > /opt/entrasync/bin/entrasync \
 && chmod 0755 /opt/entrasync/bin/entrasync \
 && echo /opt/entrasync/app > "$(/opt/entrasync/bin/python -c 'import site; print(site.getsitepackages()[0])')/entrasync.pth" \
 && /opt/entrasync/bin/python -m compileall -q /opt/entrasync/app
# the numeric user has no name in /etc/passwd; libraries that ask for one find it here
ENV LOGNAME=entrasync PATH=/opt/entrasync/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT ["entrasync"]
