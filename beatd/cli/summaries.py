"""What each command does, in a line: `beatd --help` would have to load all of them to ask."""

from typing import Final

SUMMARIES: Final = {
    "run": "Run the daemon.",
    "ls": "List entries with their next and last runs, the next one to run first.",
    "show": "Show all there is to know of the entry NAME: definition, owner, state, next and last runs.",
    "set": "Create the entry NAME, or change the given fields of it.",
    "rm": "Remove entries.",
    "pause": "Pause entries.",
    "resume": "Let paused entries go on.",
    "reset": "Give the entry NAME all its runs (`max_runs`) anew.",
    "trigger": "Run the entry NAME once, now.",
    "backfill": "Run past slots of the entry NAME (again), oldest first.",
    "diff": "Show what `apply` of these files would change, field by field.",
    "apply": "Store the entries of these files: schedules.yaml's form, JSON, or NDJSON with an entry a line.",
    "export": "Print stored entries as a file that `apply` takes, by name.",
    "next": "Show when a schedule, or an entry, will run.",
    "explain": "Explain a schedule: field by field, how often it runs, what shifts of the clock do to it.",
    "outbox": "Show what waits for another broker than the Redis of the entries, the oldest first.",
    "history": "Show what was fired and what was skipped, with the reason; the newest last.",
    "status": "Show the leader, its standbys, the entries by state, and whether all is well.",
    "doctor": "Look at configuration, Redis, leader, queues and this host: what is wrong, and what to do.",
    "check": "Check schedules.yaml: every problem with file, line, column and what to do.",
    "config": "Look at the settings.",
    "schema": "Print the JSON Schema of schedules.yaml, which editors complete and check by.",
    "completion": "Print a script that makes TAB complete commands, options and entry names.",
}
