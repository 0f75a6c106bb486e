"""How staff sign in and stay signed in: a password and a code, waits after failures, sessions that end.

`locks` counts failures in PostgreSQL; `backend` asks it before any password is checked; `factor` knows the codes of
authenticator apps; `views` lead from the password to the code; `engine` keeps the sessions, and `middleware` ends
them. `ops.access.fresh` asks again before sensitive actions.
"""
