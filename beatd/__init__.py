"""beatd decides when, and puts ready-made task messages on worker queues."""

__version__ = "0.1.0"
