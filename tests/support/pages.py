"""The pages that people read: their code blocks, links, headings and tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)\s*$")
_COMMENT = re.compile(r"^\s*<!--\s*(?P<text>.*?)\s*-->\s*$")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)|!\[[^\]]*\]\((?P<picture>[^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block. ``line`` is that of its first fence; ``mark`` the HTML comment right above it, '' without one."""

    page: Path
    line: int
    language: str
    mark: str
    text: str

    @property
    def place(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def pages() -> list[Path]:
    """Every page for people: the root's, those of docs/ at any depth, and the examples'."""
    folders = [ROOT.glob("*.md"), (ROOT / "docs").rglob("*.md"), (ROOT / "examples").rglob("*.md")]
    return sorted(page for folder in folders for page in folder)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else page.name


def blocks_of(page: Path) -> list[Block]:
    found, lines = [], page.read_text().splitlines()
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence:
            end = next(n for n in range(at + 1, len(lines)) if lines[n].strip() == "```")
            mark = _COMMENT.match(lines[at - 1]) if at else None
            indent = len(fence["indent"])
            text = "\n".join(line[indent:] for line in lines[at + 1 : end])
            found.append(Block(page, at + 1, fence["language"], mark["text"] if mark else "", text))
            at = end
        at += 1
    return found


def prose_of(page: Path) -> str:
    """The page without its blocks and comments."""
    kept, inside = [], False
    for line in page.read_text().splitlines():
        if _FENCE.match(line) or (inside and line.strip() == "```"):
            inside = not inside
        elif not inside and not _COMMENT.match(line):
            kept.append(line)
    return "\n".join(kept)


def links_of(page: Path) -> list[str]:
    return [match["target"] or match["picture"] for match in _LINK.finditer(_CODE.sub("", prose_of(page)))]


def code_of(page: Path) -> list[str]:
    """Everything in the running text between single backticks, on one line each."""
    return [re.sub(r"\s+", " ", text) for text in _CODE.findall(prose_of(page))]


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    found: set[str] = set()
    for line in prose_of(page).splitlines():
        if heading := re.match(r"#+\s+(.*)", line):
            plain = re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-")
            number = next(n for n in range(100) if (f"{plain}-{n}" if n else plain) not in found)
            found.add(f"{plain}-{number}" if number else plain)
    return found


def tables_of(page: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Each table as its heads and its rows, cells stripped."""
    rows: list[list[str]] = []
    for line in [*prose_of(page).splitlines(), ""]:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            rows.append([cell.strip().replace("\\|", "|") for cell in cells])
        elif rows:
            yield rows[0], rows[2:]
            rows = []


def table_of(page: Path, first_head: str) -> list[list[str]]:
    """The rows of the one table that begins with that head."""
    (found,) = [rows for heads, rows in tables_of(page) if heads[0] == first_head]
    return found


def bare(cell: str) -> str:
    """A cell's text without backticks."""
    return cell.replace("`", "")
