"""Jobs: work of staff or of the command line that takes longer than a request may, done by Celery's workers.

A row of PostgreSQL is the job; the message to a worker only says that there is one. So a message that is lost is
sent again, one that comes twice finds nothing to claim, and a job is carried out at most once, ever:

`registry` knows what can be run, `asking` makes a job and sends its message, `running` claims and carries it out,
`pulse` tells all others how far it is, and that its worker lives, over a connection of its own, and `sweeping` finds
messages that were lost and workers that died. `retention` removes finished jobs.
"""
