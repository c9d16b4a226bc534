"""Start the guest: isolated Python has no script folder on its path, so put it there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from main import main

sys.exit(main(Path(sys.argv[1])))
