"""What the writer of an object is warned of."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from azsandbox.kubernetes import warnings
from azsandbox.kubernetes.request import GroupVersionKind
from azsandbox.kubernetes.resources import ResourceTable
from azsandbox.kubernetes.warnings.headers import headers

TABLE = ResourceTable()


def told(api_version: str, kind: str, **fields: Any) -> list[str]:
    resource = TABLE.of_kind(GroupVersionKind(*api_version.rpartition("/")[::2], kind))
    assert resource is not None
    return warnings.of_write(resource, {"metadata": {"name": "a"}, **fields})


@pytest.mark.parametrize(
    ("api_version", "kind", "fields", "expected"),
    [
        (
            "v1",
            "Service",
            {"spec": {"externalIPs": ["010.0.0.1", "2001:DB8::1"]}},
            [
                'spec.externalIPs[0]: non-standard IP address "010.0.0.1" will be considered invalid in a future '
                'Kubernetes release: use "10.0.0.1"',
                'spec.externalIPs[1]: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")',
            ],
        ),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            {"spec": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.1/8"}}]}]}},
            [
                'spec.egress[0].to[0].ipBlock.cidr: CIDR value "10.0.0.1/8" is ambiguous in this context (should be '
                '"10.0.0.0/8" or "10.0.0.1/32"?)'
            ],
        ),
        (
            "v1",
            "ResourceQuota",
            {"spec": {"hard": {"cpu": "4", "limits.cpu": "2"}}},
            ["ResourceQuota cpu (4) should be less than limits.cpu (2)"],
        ),
        ("v1", "Node", {"spec": {"configSource": {}}}, ["spec.configSource: the feature is removed"]),
        (
            "v1",
            "Secret",
            {"type": "kubernetes.io/tls", "data": {"tls.crt": "", "tls.key": ""}},
            ["tls: failed to find any PEM data in certificate input"],
        ),
        (
            "v1",
            "Pod",
            {
                "spec": {
                    "containers": [],
                    "volumes": [
                        {"name": "v", "configMap": {"name": "c", "items": [{"path": "a"}, {"path": "a/b"}]}},
                    ],
                }
            },
            ['volume "v" (ConfigMap "c"): overlapping paths: "a/b" with "a"'],
        ),
    ],
)
def test_what_is_odd_is_told(api_version: str, kind: str, fields: dict[str, Any], expected: list[str]) -> None:
    assert told(api_version, kind, **fields) == expected


def test_a_key_in_the_place_of_a_certificate_is_told() -> None:
    key = base64.b64encode(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").decode()
    [text] = told("v1", "Secret", type="kubernetes.io/tls", data={"tls.crt": key, "tls.key": key})
    assert text.endswith("but did find a private key; PEM inputs may have been switched")


def test_headers_leave_out_control_characters_and_cut_what_is_too_long() -> None:
    assert headers(["a", "a", 'say "\\"', "b\x00", "\u00e9", ""]) == [
        '299 - "a"',
        '299 - "say \\"\\\\\\""',
        '299 - "\u00e9"',
    ]
    cut = headers([str(number % 10) * 300 + str(number) for number in range(30)])
    assert (len(cut), len(cut[0])) == (16, 256 + len('299 - ""'))
