"""Files written for one test, and what the loader makes of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from beatd.config.load import Loaded, load_files

NOW_MS = 1_790_000_000_000

Load = Callable[..., Loaded]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Writes texts as files a.yaml, b.yaml ... and reads them; keywords are variables."""
    monkeypatch.chdir(tmp_path)

    def run(*texts: str, files: dict[str, str] | None = None, **env: str) -> Loaded:
        names = [f"{chr(ord('a') + number)}.yaml" for number in range(len(texts))]
        for name, text in {**dict(zip(names, texts, strict=True)), **(files or {})}.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text, encoding="utf-8")
        return load_files([Path(name) for name in names], env, now_ms=NOW_MS)

    return run
