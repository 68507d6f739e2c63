"""Audit: who asked the API server for what, and what it answered, as events of audit.k8s.io/v1.

policy     which requests are recorded, and how much of each
event      one record; what is costly of it is made when it is read
auditor    watches requests go by and hands their events on
"""

from azsandbox.kubernetes.audit.auditor import Auditor
from azsandbox.kubernetes.audit.event import AuditEvent
from azsandbox.kubernetes.audit.policy import Level, Policy

__all__ = ["AuditEvent", "Auditor", "Level", "Policy"]
