"""Give a virtual environment pip without the network.

ansible-test wants pip's bootstrap script from one fixed address. Python itself carries pip (ensurepip), so this
file stands in for that script: the sanity tier copies it to where ansible-test looks before it downloads.
"""

from __future__ import annotations

import subprocess
import sys

subprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], check=True, stdout=subprocess.DEVNULL)
arguments = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.run([sys.executable, "-m", "pip", "install", *arguments], check=False).returncode)
