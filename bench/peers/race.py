"""The task of the race, for those who want to see it before they send it. Nobody executes it."""


def work(number: int) -> int:
    """Does nothing."""
    return number
