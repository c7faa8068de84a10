"""`python -m parasim` is the command `paraSim`."""

from parasim.cli.main import main

main()
