"""`python -m parasim` is the command `paraSim`."""

import os
import sys

# Python looks in the current folder first, where a user's yaml.py or numpy.py would be taken for the library of that
# name. Nothing of a user's is imported; only where paraSim itself was found there, it is still needed.
if not sys.flags.safe_path and sys.path[0] != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):  # noqa: PTH100, PTH120
    del sys.path[0]

from parasim.cli.main import main

main()
