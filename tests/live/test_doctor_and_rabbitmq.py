"""`beatd doctor` looks at a RabbitMQ: reached or not, rights, confirms, queues."""

import json
import subprocess
import sys
import uuid
from pathlib import Path

from tests.support.rabbit import READER, RabbitServer
from tests.support.servers import RedisServer, free_port

FILE = """
redis: {redis}
broker: "{broker}"
schedules:
  digest: {{task: app.tasks.digest, cron: "0 9 * * *", queue: {queue}}}
"""


def doctor(folder: Path, server: RedisServer, broker: str, queue: str) -> dict[str, tuple[str, str]]:
    """Level and text of each finding, by what was looked at."""
    (folder / "schedules.yaml").write_text(FILE.format(redis=server.url, broker=broker, queue=queue))
    words = [sys.executable, "-m", "beatd", "doctor", "-c", "schedules.yaml", "-o", "json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    findings = json.loads(done.stdout)["findings"]
    return {found["check"]: (found["level"], found["text"]) for found in findings}


def test_a_rabbitmq_with_the_queue_is_ok_and_redis_queues_are_left_alone(
    rabbit_server: RabbitServer, clean_redis: RedisServer, tmp_path: Path
) -> None:
    queue = f"queue-{uuid.uuid4().hex[:8]}"
    with rabbit_server.channel() as channel:
        channel.queue_declare(queue, durable=True, auto_delete=False)
        channel.basic_consume(queue)
        found = doctor(tmp_path, clean_redis, rabbit_server.url, queue)
    assert found["broker"][0] in {"ok", "warn"}
    assert "RabbitMQ 3" in found["broker"][1] or "RabbitMQ 4" in found["broker"][1]
    assert found["confirms"] == ("ok", "a message to a queue of nobody's came back, as it must")
    assert found["broker queues"] == ("ok", f"{queue} (0 waiting)")
    assert "queues" not in found


def test_a_missing_queue_a_missing_right_and_a_missing_broker_are_told_apart(
    rabbit_server: RabbitServer, clean_redis: RedisServer, tmp_path: Path
) -> None:
    found = doctor(tmp_path, clean_redis, rabbit_server.url_of(READER), "nowhere")
    assert found["confirms"][0] == "fail"
    assert "ACCESS_REFUSED" in found["confirms"][1]
    assert found["broker queues"][0] == "fail"
    assert "no queue nowhere" in found["broker queues"][1]
    found = doctor(tmp_path, clean_redis, f"amqp://127.0.0.1:{free_port()}", "nowhere")
    assert found["broker"][0] == "fail"
    assert "connection refused" in found["broker"][1]


def test_a_second_redis_is_looked_at_too(clean_redis: RedisServer, tmp_path: Path) -> None:
    found = doctor(tmp_path, clean_redis, clean_redis.url.replace("/0", "/1"), "mail")
    assert found["broker"][0] in {"ok", "warn"}
    found = doctor(tmp_path, clean_redis, f"redis://127.0.0.1:{free_port()}/0", "mail")
    assert found["broker"][0] == "fail"
