"""Whole daemons in virtual time over the real Lua text, with one seeded source of randomness for everything."""
