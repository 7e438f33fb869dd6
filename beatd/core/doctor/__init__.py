"""What `beatd doctor` looks at: facts in, findings out. Who gathers the facts is the shell's business."""

from beatd.core.doctor.finding import Finding, Level, fail, ok, verdict, warn

__all__ = ["Finding", "Level", "fail", "ok", "verdict", "warn"]
