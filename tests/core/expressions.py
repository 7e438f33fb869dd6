"""Cron expressions at random, in the whole grammar that the walker reads."""

from random import Random

WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat", "monday", "friday"]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", "december"]

# Every kind of transition: hour shifts, half hours, two hours, midnight gaps, a lost day, negative DST, Ramadan.
ZONES = [
    *("UTC", "America/New_York", "Europe/London", "Europe/Dublin", "Europe/Berlin", "Australia/Lord_Howe"),
    *("America/Sao_Paulo", "Africa/Casablanca", "Asia/Tehran", "Pacific/Apia", "Asia/Beirut", "Antarctica/Troll"),
    *("Pacific/Chatham", "Asia/Gaza", "Atlantic/Azores", "America/Caracas", "Asia/Pyongyang", "America/Nuuk"),
    *("Asia/Kolkata", "America/Santiago", "America/Havana", "Africa/Cairo", "Asia/Amman", "Europe/Volgograd"),
    *("Pacific/Kwajalein", "America/St_Johns", "Antarctica/Casey", "America/Asuncion"),
]


def plain_item(rng: Random, low: int, high: int, names: list[str]) -> str:
    def value() -> str:
        return rng.choice(names) if names and rng.random() < 0.3 else str(rng.randint(low, high))

    kind = rng.random()
    if kind < 0.5:
        return value()
    step = f"/{rng.choice([1, 2, 3, 5, 7, 10, 15, 30, 70])}" if rng.random() < 0.5 else ""
    if kind < 0.85:
        return f"{value()}-{value()}{step}"
    return f"{value()}{step or '/2'}"


def field(rng: Random, low: int, high: int, names: list[str], star: float) -> str:
    kind = rng.random()
    if kind < star:
        return "*"
    if kind < star + 0.12:
        return f"*/{rng.choice([1, 2, 3, 4, 5, 7, 10, 12, 15, 20, 30, 45])}"
    return ",".join(plain_item(rng, low, high, names) for _ in range(rng.choice([1, 1, 1, 2, 3])))


def day_of_month(rng: Random, star: float) -> str:
    if rng.random() < 0.12:
        return rng.choice(["L", "LW", "15W", "1W", "31W", "30W", "L,15", "?", "l", "10-12,L", "29W"])
    return field(rng, 1, 31, [], star)


def day_of_week(rng: Random, star: float) -> str:
    if rng.random() < 0.12:
        return rng.choice(["1#1", "5#2", "mon#5", "friL", "0L", "7L", "sun#1,3", "5#2,1", "?", "7#5", "tue,thuL"])
    return field(rng, 0, 7, WEEKDAYS, star)


def expression(rng: Random, seconds: bool = False, dates: float = 0.75) -> str:
    """``dates`` is the share of stars in the date fields: near 1 the expression runs on almost any day."""
    clock = [field(rng, 0, 59, [], 0.25), field(rng, 0, 23, [], 0.3)]
    if rng.random() < 0.5:
        clock[1] = ",".join(rng.sample(["0", "1", "2", "3", "4", "23", "22", "0-3", "1-2"], rng.randint(1, 2)))
    second = [field(rng, 0, 59, [], 0.1)] if seconds else []
    month = field(rng, 1, 12, MONTHS, dates)
    return " ".join([*second, *clock, day_of_month(rng, dates), month, day_of_week(rng, dates)])
