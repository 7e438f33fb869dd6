"""The examples hold together: what their schedules start is there to be started."""

import importlib.util
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLE = Path(__file__).parents[1] / "examples" / "celery_app"


@pytest.fixture(scope="module")
def app() -> Any:
    spec = importlib.util.spec_from_file_location("example_tasks", EXAMPLE / "tasks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


@pytest.mark.parametrize("entry", yaml.safe_load((EXAMPLE / "schedules.yaml").read_text())["schedules"].values())
def test_every_entry_starts_a_task_of_the_application_with_args_it_takes(app: Any, entry: dict[str, Any]) -> None:
    name = entry["task"].removeprefix("tasks.")
    task = app.tasks[f"example_tasks.{name}"]

    inspect.signature(task.run).bind(*entry.get("args", ()), **entry.get("kwargs", {}))
