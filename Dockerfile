# One image for every service: docker-compose.yml says which command each runs.

FROM python:3.13.9-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements.txt requirements-explain.txt requirements-tracing.txt ./
# Wheels only: nothing is compiled, so that no compiler is needed. Nothing installs packages later.
RUN /opt/venv/bin/pip install --only-binary :all: -r requirements.txt -r requirements-explain.txt -r requirements-tracing.txt \
    && /opt/venv/bin/pip uninstall --yes pip
WORKDIR /app
COPY . .
ENV PATH=/opt/venv/bin:$PATH SCORELINE_DATA_DIR=/app/var OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# The models that ship are part of the image, and so the same in web and workers.
RUN python -m model.census.train && python -m compileall -q database jobs model ops web worker

FROM python:3.13.9-slim-bookworm
RUN groupadd --gid 10001 scoreline \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin scoreline
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
# A new volume that is mounted at one of these takes over its files and owner: models, the history where that is a SQLite
# file, and files under way.
RUN mkdir /app/history /app/scratch && chown -R 10001:10001 /app/history /app/scratch /app/var/models
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    SCORELINE_DATA_DIR=/app/var \
    SCORELINE_LOG_FORMAT=json \
    TMPDIR=/app/scratch \
    HOST=0.0.0.0 \
    PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=4)"]
CMD ["python", "-m", "gunicorn", "-c", "web/server/gunicorn.conf.py", "web.wsgi:app"]
