"""Microsoft.Security: the plans of Defender for Cloud. Assessments, alerts and the like are refused by name."""

from __future__ import annotations

from azsandbox.arm.provider import Provider
from azsandbox.arm.providers.security.auto_provisioning import AutoProvisioningSettings
from azsandbox.arm.providers.security.pricings import Pricings


class Security(Provider):
    """The namespace Microsoft.Security."""

    namespace = "Microsoft.Security"

    def __init__(self) -> None:
        super().__init__([Pricings(), AutoProvisioningSettings()])
