"""Lists in plain English."""


def joined(items: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``; nothing for no items."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def runs(words: list[str], values: list[int]) -> list[str]:
    """The words of ascending values, three or more neighbours drawn together as ``a to c``."""
    out: list[str] = []
    start = 0
    for i in range(1, len(values) + 1):
        if i == len(values) or values[i] != values[i - 1] + 1:
            out += [f"{words[start]} to {words[i - 1]}"] if i - start > 2 else words[start:i]
            start = i
    return out


def nth(n: int) -> str:
    """``1st``, ``22nd``, ``last``, ``3rd from the end``."""
    if n == -1:
        return "last"
    size = abs(n)
    ending = "th" if size % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(size % 10, "th")
    return f"{size}{ending}" + (" from the end" if n < 0 else "")
