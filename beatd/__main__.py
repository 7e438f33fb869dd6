"""`python -m beatd` is `beatd`."""

from beatd.cli import main

main()
