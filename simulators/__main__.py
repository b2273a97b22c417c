"""`python -m simulators CONFIG`: play a city in a process of its own; CONFIG is a PlayerConfig as JSON."""

import sys
from pathlib import Path

from simulators.player_process import main

main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
