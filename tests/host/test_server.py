"""The pack inside a real server."""


def ours(server) -> dict:
    return {name: info for name, info in server.client.object_info().items() if name.startswith("PureCC")}


def test_the_server_loads_the_pack_without_complaint(server):
    log = server.log.read_text(encoding="utf-8", errors="replace")
    assert "custom_nodes/purecc" in log.replace("\\", "/")
    assert not [line for line in log.splitlines() if "FAILED" in line and "purecc" in line]
    assert "Error while calling comfy_entrypoint" not in log


def test_every_node_of_the_pack_is_listed_in_its_category(server):
    import asyncio

    import purecc_pack

    nodes = asyncio.run(asyncio.run(purecc_pack.comfy_entrypoint()).get_node_list())
    listed = ours(server)
    assert set(listed) == {node.GET_SCHEMA().node_id for node in nodes}
    assert all(info["category"].split("/")[0] == "PureCC" for info in listed.values())


def test_every_input_has_a_tooltip_and_every_node_a_description(server):
    bare = []
    for name, info in ours(server).items():
        if not info["description"]:
            bare.append(name)
        for kind in ("required", "optional"):
            for key, spec in info["input"].get(kind, {}).items():
                if not (len(spec) > 1 and spec[1].get("tooltip")):
                    bare.append(f"{name}.{key}")
    assert not bare


def test_a_stock_graph_runs_and_its_image_comes_back(server):
    from io import BytesIO

    from PIL import Image

    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 2, "color": 0xFF0000}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "stock/red"}},
    }
    seen = []
    outputs = server.client.run(prompt, lambda name, data: seen.append(name))
    images = outputs["2"]["images"]
    assert len(images) == 2
    picture = Image.open(BytesIO(server.client.image(images[0])))
    assert picture.size == (64, 32)
    assert picture.getpixel((5, 5)) == (255, 0, 0)
    assert "executing" in seen
    assert "execution_success" in seen


def test_every_node_has_a_help_page_under_its_name(server):
    for name, info in ours(server).items():
        page = server.client.get(f"/extensions/purecc/docs/{name}.md").decode()
        assert page.splitlines()[0] == f"# {info['display_name']}"
