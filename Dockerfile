# syntax=docker/dockerfile:1
# One image for every part: docker run tepi edge --config …, tepi control --config …, and so on.

# the full image, for its compiler: the lane is compiled here
FROM python:3.12 AS build
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
COPY edge edge
COPY origin origin
COPY control control
COPY geo geo
RUN python -m venv /opt/tepi && /opt/tepi/bin/pip install --no-cache-dir '.[payments]'

FROM python:3.12-slim
LABEL org.opencontainers.image.title="Tepi" \
      org.opencontainers.image.description="A CDN that a shop's operator runs himself" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --home-dir /var/lib/tepi --create-home tepi
COPY --from=build /opt/tepi /opt/tepi
ENV PATH=/opt/tepi/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/tepi
VOLUME /var/lib/tepi
# Every part's admin listener answers /healthz; TEPI_HEALTH says where, if not at an edge's default.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ.get('TEPI_HEALTH', 'http://127.0.0.1:8081/healthz'), timeout=2)"]
ENTRYPOINT ["tepi"]
CMD ["--help"]
