"""The launcher behind `make run`, `make test` and `make manage`.

It prepares the virtual environment, starts a private PostgreSQL and a private Redis or Valkey, and keeps the
processes of the bank running until it is told to stop. Everything it makes lies in `.venv/` and `var/`.

`cli` decides what to do; `venv` is the first stage and needs nothing but the standard library; `postgres`,
`redis`, `supervisor` and `bank` are the second and run inside the virtual environment.
"""
