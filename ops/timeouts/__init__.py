"""Time limits around what may hang, and how often they are reached.

Each call to a component (`COMPONENTS`) is counted on the board, whichever process makes it: attempts, timeouts and
errors per second of the last ten minutes. So a rate is a true one: timeouts of attempts, and none without attempts.
"""

from ops.timeouts.attempts import COMPONENTS, Rate, attempt, rates, record
from ops.timeouts.deadline import each_statement, time_left, within

__all__ = ["COMPONENTS", "Rate", "attempt", "each_statement", "rates", "record", "time_left", "within"]
