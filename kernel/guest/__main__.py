"""Start the guest: ``python -I FOLDER/guest FOLDER (LEFT | shell | send ...)``."""

import importlib
import sys
from pathlib import Path

# Isolated Python knows only the standard library; here this folder is the package "guest".
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.exit(importlib.import_module("guest.main").start(Path(sys.argv[1]), sys.argv[2:]))
