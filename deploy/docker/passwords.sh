#!/bin/sh
# Gives the roles of deploy/roles.sql their passwords, when the database is made.
set -eu
psql --username postgres --dbname banking_es --set ON_ERROR_STOP=1 --quiet <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv app_password APP_PASSWORD
ALTER ROLE banking_es_owner PASSWORD :'owner_password';
ALTER ROLE banking_es_app PASSWORD :'app_password';
SQL
