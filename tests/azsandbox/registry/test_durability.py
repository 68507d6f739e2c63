"""What was answered is there after a crash, and what a crash left half done goes away."""

from __future__ import annotations

from pathlib import Path

from azsandbox.host import Host
from tests.azsandbox.registry.conftest import Azure, digest_of, push_blob, push_image


async def test_content_and_uploads_under_way_survive_a_restart(home: Path) -> None:
    host = Host(home)
    await host.start()
    azure = Azure(host)
    await azure.create("labshop", adminUserEnabled=True)
    client = await azure.as_admin("labshop")
    digest = await push_image(client, "app", "v1")
    location = (await client.post("/v2/app/blobs/uploads/")).headers["location"]
    await client.patch(location, content=b"first ")
    orphan = host.registries.contents.blobs.put(b"written, and never recorded")
    await host.stop()

    host = Host(home)
    await host.start()
    client = await Azure(host).as_admin("labshop")
    assert (await client.head("/v2/app/manifests/v1")).headers["docker-content-digest"] == digest
    done = await client.put(location, params={"digest": digest_of(b"first second")}, content=b"second")
    assert done.status_code == 201
    assert host.registries.contents.blobs.size(orphan) is None
    await host.stop()


async def test_content_of_a_registry_that_is_no_more_is_swept(home: Path) -> None:
    host = Host(home)
    await host.start()
    azure = Azure(host)
    await azure.create("labshop", adminUserEnabled=True)
    client = await azure.as_admin("labshop")
    await push_blob(client, "app", b"content")
    host.arm.resources.delete(azure.id("labshop"))  # and the process dies before the content goes
    await host.stop()
    host = Host(home)
    await host.start()
    assert list(host.registries.contents.blobs.all()) == []
    await host.stop()
