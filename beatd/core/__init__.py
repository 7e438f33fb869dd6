"""Pure: values in, values out. Nothing here asks the time, sleeps, logs, or does I/O.

Instants are integers, UTC milliseconds; durations are integers, milliseconds.
"""
