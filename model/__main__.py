"""The models of this installation: ``python -m model add|list|show|default|remove|export|import``."""

import sys

from model.cli import main

sys.exit(main())
