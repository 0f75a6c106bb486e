"""`python3 -m ops.embedded COMMAND` (see `cli`): kept readable for a Python that is too old."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this file is what an older Python reads first
    sys.exit(
        "bankes needs Python 3.11 or newer and this is Python %d.%d: install a newer one and name it, for example "  # noqa: UP031
        "make PYTHON=python3.11 run." % sys.version_info[:2]
    )

from ops.embedded.cli import main

sys.exit(main(sys.argv[1:]))
