# One image for the operator, the sync Job and the emulator; they differ in their arguments only.
#
#   docker build --tag entrasync .
#   docker build --tag entrasync --build-arg EXTRAS=kerberos .
#
# BASE is any image with Python 3.11 or newer, its module venv, and a shell. EXTRAS=kerberos adds
# what binding by keytab needs; Debian packages are installed for it. The package index, a proxy and
# its CA are given to the build and stay out of the image: docs/install.md.
ARG BASE=docker.io/library/python:3.11-slim-bookworm
ARG EXTRAS=""

FROM ${BASE} AS dependencies
ARG EXTRAS
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_CERT
# the compiler stays in this stage
RUN case "$EXTRAS" in \
      "") ;; \
      kerberos) \
        apt-get update -q \
     && apt-get install -q -y --no-install-recommends gcc libc6-dev libkrb5-dev \
     && if [ ! -e "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]; \
        then apt-get install -q -y --no-install-recommends python3-dev; fi ;; \
      *) echo "EXTRAS must be empty or kerberos, not $EXTRAS" >&2; exit 1 ;; \
    esac
COPY requirements/runtime.txt requirements/kerberos.txt requirements/kerberos-build.txt /tmp/requirements/
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
 && python3 -m venv /opt/entrasync \
 && pip="/opt/entrasync/bin/pip --disable-pip-version-check --no-cache-dir" \
 && if [ "$EXTRAS" = kerberos ]; then $pip install --require-hashes -r /tmp/requirements/kerberos-build.txt; fi \
 && $pip install --no-build-isolation --require-hashes -r "/tmp/requirements/${EXTRAS:-runtime}.txt" \
 && if [ "$EXTRAS" = kerberos ]; then $pip uninstall -y -q cython; fi \
 && /opt/entrasync/bin/python -m compileall -q /opt/entrasync/lib \
 && $pip uninstall -y -q pip setuptools

FROM ${BASE}
LABEL org.opencontainers.image.title="entrasync" \
      org.opencontainers.image.description="Declarative Microsoft Entra Connect Sync for Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
ARG EXTRAS
RUN if [ "$EXTRAS" = kerberos ]; then \
      apt-get update -q \
   && apt-get install -q -y --no-install-recommends libgssapi-krb5-2 \
   && rm -rf /var/lib/apt/lists/*; fi
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
