"""`python -m control.cli.worker CHANNEL`: a worker of `tepi edge`, as its supervisor starts it."""

from __future__ import annotations

import logging
import sys

from control.cli.process import collect_seldom, logging_to_stderr
from edge.workers.worker import main

if __name__ == "__main__":
    logging_to_stderr(logging.INFO)
    collect_seldom()
    main(int(sys.argv[1]))
