"""What answers are scored on: one file a task, whose name is the file's."""

from __future__ import annotations

from benchmarks.task import Task
from edge_runtime.registry import Registry

TASKS: Registry[Task] = Registry("benchmarks.tasks", "TASK", "task")
