# beatd for a Redis of yours: docker build -t beatd . && docker run -v ./conf:/etc/beatd:ro -e BEATD_REDIS_URL=... beatd
# docs/operations.md tells more; compose.yaml shows two of them with a Redis and a worker.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY beatd beatd
RUN python -m venv /opt/beatd && /opt/beatd/bin/pip install --no-cache-dir '.[fast]'

FROM python:3.13-slim-bookworm
# Like the build stage, so that the interpreter of the venv is where it was.
COPY --from=build /opt/beatd /opt/beatd
ENV PATH=/opt/beatd/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, so that a cluster can see that it isn't root. It writes nothing: what it knows is in Redis.
USER 10001:10001
WORKDIR /etc/beatd
EXPOSE 9464
# Hands the lease over and ends within two seconds.
STOPSIGNAL SIGTERM
# Whether the loop is alive; a Redis that is away is no reason to restart anything.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9464/healthz', timeout=2).close()"]
ENTRYPOINT ["beatd"]
CMD ["run"]
