"""The scheduler: filters, scores, preemption and binding, with kube-scheduler's words."""

from azsandbox.controllers.scheduler.scheduler import Scheduler

__all__ = ["Scheduler"]
