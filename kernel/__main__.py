"""``python -m gso.kernel`` is ``gso-kernel``."""

import sys

from gso.kernel.cli import main

sys.exit(main())
