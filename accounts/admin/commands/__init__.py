"""The forms by which staff move money: each asks why, and hands one command to the executor."""
