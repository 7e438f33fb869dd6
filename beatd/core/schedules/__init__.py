"""Schedules: the rules that give an entry its slots. One file a kind, found by the registry."""

from beatd.core.schedules.schedule import SCHEDULE_KEYS, Schedule, parse_schedule

__all__ = ["SCHEDULE_KEYS", "Schedule", "parse_schedule"]
