#!/bin/sh
# Writes .env beside compose.yaml with generated secrets, once: an existing one is left alone.
set -eu
cd "$(dirname "$0")/../.."
if [ -e .env ]; then
    echo ".env is there already: nothing was changed."
    exit 0
fi
umask 077
secret() { head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n'; }
{
    for name in POSTGRES_PASSWORD OWNER_PASSWORD APP_PASSWORD REDIS_PASSWORD SECRET_KEY; do
        echo "$name=$(secret)"
    done
} > .env
echo ".env holds new secrets (mode 0600). Staff: docker compose run --rm web python manage.py create_demo_staff"
