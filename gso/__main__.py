"""``python -m gso``."""

import sys

from gso.cli import main

sys.exit(main())
