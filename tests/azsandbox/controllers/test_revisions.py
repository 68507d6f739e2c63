"""ControllerRevisions."""

import json

from azsandbox.controllers.revisions import template_patch


def test_the_keys_of_a_revision_are_sorted_as_clients_compare_its_bytes():
    owner = {
        "spec": {
            "template": {
                "metadata": {"labels": {"b": "1", "a": "2"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            }
        }
    }
    assert json.dumps(template_patch(owner), separators=(",", ":")) == (
        '{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"a":"2","b":"1"}},'
        '"spec":{"containers":[{"image":"i","name":"c"}]}}}}'
    )
