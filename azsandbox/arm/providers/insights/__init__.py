"""Microsoft.Insights: diagnostic settings and the data collection rules that AKS monitoring needs."""

from __future__ import annotations

from azsandbox.arm.provider import Provider
from azsandbox.arm.providers.insights.data_collection import DataCollectionRuleAssociations, DataCollectionRules
from azsandbox.arm.providers.insights.diagnostic_settings import Categories, DiagnosticSettings

__all__ = ["Insights"]


class Insights(Provider):
    """The namespace Microsoft.Insights. Metrics and alerts are refused by name."""

    namespace = "Microsoft.Insights"

    def __init__(self) -> None:
        super().__init__([DiagnosticSettings(), Categories(), DataCollectionRules(), DataCollectionRuleAssociations()])
