"""Small asyncio services without policy: they wait, ask the core, and do. daemon.py alone wires them."""
