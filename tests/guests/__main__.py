"""python -m guests ... (with tests/ on PYTHONPATH)."""

import sys

from guests.cli import main

sys.exit(main())
