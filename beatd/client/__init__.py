"""The client: what programs and commands do with stored entries. No daemon is needed for it, and none is imported."""
