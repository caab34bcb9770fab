"""Health check of a container: ``python -m worker.ping ROLE`` ends with 0 if that role lives on this host."""

import argparse
import socket
import sys

from jobs.settings import get_settings
from jobs.store.connection import connect
from jobs.store.heartbeat import ROLES, living


def main() -> int:
    """Exit status: 0 if the role lives here, else 1."""
    parser = argparse.ArgumentParser(prog="python -m worker.ping", description=__doc__)
    parser.add_argument("role", choices=ROLES)
    role = parser.parse_args().role
    host = socket.gethostname()
    return 0 if any(node.host == host for node in living(connect(get_settings()), role)) else 1


if __name__ == "__main__":
    sys.exit(main())
