# The bank in one image; compose.yaml says which of its commands each container runs.
FROM python:3.11-slim

RUN useradd --system --create-home --home-dir /srv/bankes --shell /usr/sbin/nologin bankes \
    && install --directory --owner=bankes --group=bankes --mode=0700 /srv/bankes/board
WORKDIR /srv/bankes

COPY requirements/base.txt requirements/base.txt
RUN pip install --no-cache-dir --require-hashes --requirement requirements/base.txt

COPY manage.py ./
COPY ops ops
COPY eventstore eventstore
COPY accounts accounts
COPY bankes bankes
COPY templates templates

ENV DJANGO_SETTINGS_MODULE=bankes.settings PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    STATIC_ROOT=/srv/bankes/static
# The settings are read to find the static files; these values serve that alone.
RUN SECRET_KEY=only-to-collect-static-files-never-to-run DATABASE_URL=postgresql://unused@unused/unused \
    REDIS_URL=redis://unused python manage.py collectstatic --noinput --verbosity 0

USER bankes
EXPOSE 3000
CMD ["python", "-m", "bankes.server"]
