"""The command line: parse, call, print. Data go to stdout, messages to stderr."""

from beatd.cli.main import main

__all__ = ["main"]
