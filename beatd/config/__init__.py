"""From files, variables and flags to settings and entries, or every problem with its place."""
