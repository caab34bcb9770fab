"""Health check for containers: ``python -m worker.ping ROLE`` exits with 0 if the role is alive on this host."""

import argparse
import socket
import sys

from jobs.settings import get_settings
from jobs.store.connection import connect
from jobs.store.heartbeat import ROLES, living


def main() -> int:
    """Return the exit status: 0 if the role is alive on this host, else 1."""
    parser = argparse.ArgumentParser(prog="python -m worker.ping", description=__doc__)
    parser.add_argument("role", choices=ROLES)
    role = parser.parse_args().role
    host = socket.gethostname()
    return 0 if any(node.host == host for node in living(connect(get_settings()), role)) else 1


if __name__ == "__main__":
    sys.exit(main())
