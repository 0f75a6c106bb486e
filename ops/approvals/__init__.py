"""Two persons: what one asks for and another, who has the right too, approves.

A sensitive action is registered here with how to tell what it would do (`preview`), on what it was looked at
(`versions`), and how it is done (`execute`). The admin's forms ask (`asking`); somebody else decides (`deciding`) on
that very command and those versions; what is approved is carried out once (`carrying_out`), with the approval's id as
idempotency key. The command line and API clients keep rules of their own.
"""
