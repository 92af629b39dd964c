"""`python -m sde_diffusion` is `sde-diffusion`."""

from __future__ import annotations

import sys

from sde_diffusion.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
