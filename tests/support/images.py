"""Dockerfiles, read as far as a test needs: instructions with their words."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KNOWN: Final = """
ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL RUN SHELL STOPSIGNAL USER VOLUME WORKDIR
"""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its name in capitals, and the rest of it on one line."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """In the form of a JSON list, or as a shell would split it."""
        at = self.text.find("[")
        if at >= 0 and self.text.endswith("]"):
            listed: list[str] = json.loads(self.text[at:])
            return [*self.text[:at].split(), *listed]
        return shlex.split(self.text)


def read_dockerfile(path: Path) -> list[Instruction]:
    """All instructions. Raises ValueError for a name that is none."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    found = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, text = line.partition(" ")
            if name not in KNOWN.split():
                raise ValueError(f"{path}: found {name!r}; {', '.join(KNOWN.split())} are accepted")
            found.append(Instruction(name, text.strip()))
    return found


def last_stage(instructions: list[Instruction]) -> dict[str, Instruction]:
    """The last instruction of each name in the last stage: what the image is run with."""
    begin = max(at for at, instruction in enumerate(instructions) if instruction.name == "FROM")
    return {instruction.name: instruction for instruction in instructions[begin:]}


def tag_of(image: str) -> str:
    """Which version of an image is meant; empty where nothing is said."""
    return image.rpartition("/")[2].partition(":")[2]
