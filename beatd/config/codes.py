"""The codes of problems: what each one is about. E is an error, W a warning. A code never changes its meaning."""

from typing import Final

CODES: Final[dict[str, str]] = {
    # The file as bytes and as text.
    "E001": "the file can't be read",
    "E002": "the file is too large",
    "E003": "not UTF-8",
    "E004": "a character that no text file has",
    "E006": "the file is empty",
    "E007": "the file is no mapping",
    "E008": "more than one document",
    "E009": "too many values",
    "E010": "nested too deep",
    "E012": "not JSON",
    # YAML: what can't be read, and what YAML would read as something else.
    "E020": "not YAML",
    "E021": "an unquoted * begins an alias",
    "E022": "an unquoted @ begins nothing",
    "E023": "an unquoted % or backtick begins nothing",
    "E024": "unquoted braces are a mapping",
    "E025": "a second colon in one line",
    "E026": "a key stands twice",
    "E027": "a tag",
    "E028": "a key without a value",
    "E029": "an alias of nothing",
    "E030": "a tab in the indentation",
    "E031": "a blank is missing after a colon",
    "E032": "indented otherwise than its neighbours",
    "E033": "a quote is not closed",
    "E034": "a key that is no text",
    "E035": "a merge of something that is no mapping",
    "E036": "on, off, yes or no where true or false is accepted",
    "E037": "a time of day, or a date alone",
    # Variables, included files, settings.
    "E040": "a variable is not set",
    "E041": "a variable is misspelt",
    "E042": "an included file",
    "E043": "an unknown key",
    "E044": "a setting's value",
    "E045": "a setting has two values",
    # Entries.
    "E050": "an entry's name",
    "E051": "an entry stands twice",
    "E052": "an entry's keys do not go together",
    "E053": "an entry's value",
    "E054": "an entry's schedule",
    "E055": "Celery's spelling",
    "E056": "an option of the message",
    "E057": "the pattern of a route",
    # Warnings: text that YAML 1.1 reads otherwise.
    "W001": "a number with a leading zero",
    "W002": "digits with an underscore",
    "W003": "on, off, yes or no is a text",
    "W004": "on, off, yes or no is a key",
    # Warnings: schedules.
    "W020": "what a careful reader would ask about a schedule",
    "W021": "an interval whose time of day was not chosen",
    "W022": "both day fields of a cron expression",
    "W023": "a one-time run that lies in the past",
    "W024": "another reader's opinion on a cron expression",
    "W025": "policies under which runs are skipped although nothing is wrong",
    # Warnings: settings.
    "W026": "a broker that is another database of the same Redis",
}
