"""`python -m entrasync`."""

from __future__ import annotations

import sys

from entrasync.cli.main import main

sys.exit(main())
