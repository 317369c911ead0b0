"""The routes of the live panel: what they give, and what they refuse."""

import asyncio
import json

import pytest
from liveruns import bad_pieces, bad_requests, made, sample, spoken, step


@pytest.fixture
def ask(comfyui):
    """Sends (method, path, options) to the routes over a registry; returns status, content type and body of each."""
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    from purecc_pack.purecc.host.ui import live_runs, routes

    runs = live_runs.Runs()

    def sent(*requests):
        async def all_of_them():
            table, app = web.RouteTableDef(), web.Application()
            routes.register(table, runs)
            app.add_routes(table)
            async with TestClient(TestServer(app)) as client:
                answers = []
                for method, path, *options in requests:
                    async with client.request(method, path, **(options[0] if options else {})) as answer:
                        answers.append((answer.status, answer.content_type, await answer.read()))
                return answers

        return asyncio.run(all_of_them())

    def piecewise(*requests, said=spoken):
        """Status of each of some requests in pieces, all sent at the same time."""

        async def all_of_them():
            table, app = web.RouteTableDef(), web.Application()
            routes.register(table, runs)
            app.add_routes(table)
            async with TestServer(app, host="127.0.0.1") as server:
                return await asyncio.gather(*(asyncio.to_thread(said, server.port, pieces) for pieces in requests))

        return asyncio.run(all_of_them())

    sent.runs, sent.piecewise = runs, piecewise
    return sent


@pytest.fixture
def run(ask):
    run = made()
    run.step(step(1))
    run.sample([sample(1)])
    ask.runs.add(run)
    return run


def test_what_they_give(ask, run):
    at = f"/purecc/runs/{run.id}"
    listed, whole, base, now = ask(
        ("GET", "/purecc/runs"), ("GET", at), ("GET", f"{at}/samples/0/base"), ("GET", f"{at}/samples/0/current")
    )
    assert json.loads(listed[2]) == {"runs": [run.head()]} and json.loads(whole[2]) == run.state()
    assert base == (200, "image/jpeg", b"base") and now == (200, "image/jpeg", b"current 1")


@pytest.mark.parametrize("request_", ["stop", "sample", "save"])
def test_what_is_asked_reaches_the_run(ask, run, request_):
    assert [status for status, *_ in ask(("POST", f"/purecc/runs/{run.id}/{request_}", {"data": b"{}"}))] == [200]
    assert run.head()["asked"] == [request_]


def test_all_else_is_refused_without_a_trace_or_an_effect(ask, run):
    cases = bad_requests(run.id)
    for (method, path, options, status), answer in zip(cases, ask(*(case[:3] for case in cases)), strict=True):
        assert answer[0] == status, (method, path, options, answer)
        assert len(answer[2]) < 200 and b"Traceback" not in answer[2]
    assert run.head()["asked"] == []


def test_a_body_counts_with_all_its_pieces(ask, run, monkeypatch, caplog):
    """One that never ends, or breaks off, is refused in time; nothing of it has an effect or is logged."""
    from purecc_pack.purecc.host.ui import guards

    monkeypatch.setattr(guards, "PATIENCE", 2.0)
    cases = bad_pieces(run.id)
    answers = ask.piecewise(*(pieces for pieces, _ in cases))
    for (pieces, status), answer in zip(cases, answers, strict=True):
        assert answer == status, pieces
    assert run.head()["asked"] == [] and not caplog.records
    head = f"POST /purecc/runs/{run.id}/save HTTP/1.1\r\nHost: here\r\nConnection: close\r\n".encode()
    whole = [(head + b"Content-Length: 2\r\n\r\n{", b"}")]
    whole += [(head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", b"0\r\n\r\n")]
    assert ask.piecewise(*whole) == [200, 200] and run.head()["asked"] == ["save"]


def test_a_caller_that_hangs_up_leaves_no_trace(ask, run, caplog):
    import socket
    import time

    def hung_up(port, pieces):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(pieces[0])
            time.sleep(0.3)
        time.sleep(0.3)

    ask.piecewise(*(pieces for pieces, _ in bad_pieces(run.id)[:4]), said=hung_up)
    assert run.head()["asked"] == [] and not caplog.records


def test_a_run_that_cannot_says_why(ask, run):
    run.end("finished")
    ((status, kind, body),) = ask(("POST", f"/purecc/runs/{run.id}/stop"))
    assert (status, kind) == (409, "application/json")
    assert json.loads(body)["key"] == "run_ended" and json.loads(body)["text"]


def test_prompts_of_samples_are_taken_once(ask, run):
    at, body = f"/purecc/runs/{run.id}/prompts", {"json": {"prompts": ["a [v] robot by a lake", " ", "two lakes"]}}
    ((status, _, head),) = ask(("POST", at, body))
    assert status == 200 and json.loads(head)["asked"] == ["sample"]
    assert run.prompts_asked() == ("a [v] robot by a lake", "two lakes") and run.prompts_asked() is None


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("a {lake}", "'a {lake}'"), ("\ud800", r"'\ud800'"), ("embedding:x", "'embedding:x'"), ("a" * 10_001, "10001")],
)
def test_prompts_that_cannot_be_read_are_quoted(ask, run, text, quoted):
    ((status, _, body),) = ask(("POST", f"/purecc/runs/{run.id}/prompts", {"json": {"prompts": ["a lake", text]}}))
    assert (status, json.loads(body)["key"]) == (400, "bad_prompts") and quoted in json.loads(body)["text"]
    assert run.prompts_asked() is None and run.head()["asked"] == []


def test_prompts_of_samples_need_a_vae_and_a_run_that_goes_on(ask, run):
    blind, body = made(can_sample=False), {"json": {"prompts": ["a lake"]}}
    ask.runs.add(blind)
    run.end("finished")
    answers = ask(*(("POST", f"/purecc/runs/{one.id}/prompts", body) for one in (run, blind)))
    assert [(status, json.loads(said)["key"]) for status, _, said in answers] == [(409, "run_ended"), (409, "no_vae")]


def test_a_stop_before_the_first_step_is_refused(ask):
    from purecc_pack.purecc.host.messages import Phase

    run = made()
    ask.runs.add(run)
    run.phase(Phase.COPY_MODEL)
    at = f"/purecc/runs/{run.id}"
    head, stop, save = ask(("GET", at), ("POST", f"{at}/stop"), ("POST", f"{at}/save"))
    assert json.loads(head[2])["can_stop"] is False and (stop[0], save[0]) == (409, 200)
    assert json.loads(stop[2])["key"] == "no_step"
    assert run.head()["asked"] == ["save"]
    run.step(step(1))
    head, stop = ask(("GET", at), ("POST", f"{at}/stop"))
    assert json.loads(head[2])["can_stop"] is True and stop[0] == 200 and run.head()["asked"] == ["save", "stop"]


def test_a_page_of_the_server_itself_may_ask(ask, run):
    """With the headers that a browser sends, also behind a proxy that changes the host's name."""
    headers = {"Origin": "https://a.proxy.example", "Sec-Fetch-Site": "same-origin"}
    ((status, *_),) = ask(("POST", f"/purecc/runs/{run.id}/stop", {"headers": headers}))
    assert status == 200
