"""ssh.py PLACE OPTIONS... HOST COMMAND: runs the command on the machine HOST below PLACE (see machines.py)."""

import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "unit")]
sys.path.insert(0, str(Path(__file__).parents[2] / ".ansible/collections"))

import machines  # noqa: E402

place, host, command = Path(sys.argv[1]), sys.argv[-2], sys.argv[-1]
machine = machines.Machine.__new__(machines.Machine)
machine.place = place / host
machine.upper = machine.place / "upper"
argv = machine.shell(command)
os.execvp(argv[0], argv)
