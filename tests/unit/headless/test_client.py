"""One job on a server that misbehaves: found finished in time, fetched whole or refused, told in words that help."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiohttp import web
from chibi_testing.fake_comfy import FakeComfy, echo_prompt

from chibi_avatar.headless import Client, SyncClient
from chibi_avatar.headless.client import _plain_name, with_tag
from chibi_avatar.headless.errors import (
    BadReply,
    InputError,
    JobFailed,
    JobTimeout,
    OutputRefused,
    PromptRejected,
    ServerUnreachable,
)
from chibi_avatar.headless.waiting import within

WS_FAULTS = ("ok", "silent", "closed", "garbage", "wrong_id", "early", "flood", "slow", "refused", "html")


def go(work):
    return asyncio.run(work)


@pytest.mark.parametrize("fault", WS_FAULTS)
def test_a_job_is_found_finished_whatever_the_websocket_does(fault, tmp_path):
    """A silent or lying websocket would leave the user's script waiting forever (the oldest complaint about headless
    ComfyUI).
    """
    with FakeComfy(seconds=0.15, ws=fault) as fake:
        with SyncClient(fake.url) as client:
            result = client.run(echo_prompt(fault), out_dir=tmp_path)
            late = time.monotonic() - max(fake.finished_at.values())
        assert json.loads(result.files[0].path.read_bytes())["text"] == fault
        assert late < 10


def test_progress_is_told_from_the_very_beginning():
    """A quick job would be over before anybody listens, and a long one would start in silence."""
    events = []
    with FakeComfy() as fake, SyncClient(fake.url) as client:
        for number in range(3):
            client.run(echo_prompt(f"{number}"), on_progress=lambda event: events.append(event.event))
            assert events[:2] == ["start", "execution_success"], number
            events.clear()


def test_a_stolen_websocket_id_does_not_stop_the_owner(tmp_path):
    """Two scripts with one client id: the second takes the stream, and the first would never hear of its job again."""
    with FakeComfy(seconds=0.2, ws="steal") as fake:

        async def both():
            async with Client(fake.url, client_id="same") as one, Client(fake.url, client_id="same") as two:
                return await asyncio.gather(
                    one.run(echo_prompt("one"), out_dir=tmp_path / "1"),
                    two.run(echo_prompt("two"), out_dir=tmp_path / "2"),
                )

        first, second = go(both())
        assert [json.loads(r.files[0].path.read_bytes())["text"] for r in (first, second)] == ["one", "two"]


def test_a_server_restart_in_the_middle_runs_the_job_again(tmp_path):
    """ComfyUI forgets its queue when it restarts; without a second try the user's picture would never come."""
    with FakeComfy(seconds=0.3) as fake:

        async def work():
            async with Client(fake.url) as client:
                task = asyncio.create_task(client.run(echo_prompt("again"), out_dir=tmp_path))
                while not fake.jobs:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(fake.crash, 0.2)
                return await task

        result = go(work())
        assert json.loads(result.files[0].path.read_bytes())["text"] == "again"


def test_errors_lost_answers_and_half_replies_are_ridden_out(tmp_path):
    """A proxy that drops one request in five must not lose or double a job."""
    with FakeComfy(faults={"http500": 0.2, "lost_answer": 0.15, "half_json": 0.1}) as fake:
        with SyncClient(fake.url, patience=10) as client:
            for number in range(8):
                text = f"job {number}"
                result = client.run(echo_prompt(text), out_dir=tmp_path)
                assert json.loads(result.files[0].path.read_bytes())["text"] == text
        assert set(fake.runs.values()) == {1}


def test_a_known_job_id_is_not_queued_again():
    """A script started twice with the same ids would pay for every picture twice."""
    with FakeComfy() as fake, SyncClient(fake.url) as client:
        job_id = "7c1f0e8a-3d55-4a7e-9d39-0d3a52a1b111"
        for _ in range(3):
            client.wait(client.queue(echo_prompt("once"), job_id=job_id))
        assert fake.posted == 1


def test_a_job_id_that_failed_is_not_queued_again():
    """The script would be told the old error while a second copy runs unseen."""
    with FakeComfy() as fake, SyncClient(fake.url) as client:
        job_id = "7c1f0e8a-3d55-4a7e-9d39-0d3a52a1b112"
        for _ in range(2):
            with pytest.raises(JobFailed):
                client.wait(client.queue(echo_prompt("explode"), job_id=job_id))
        assert fake.posted == 1


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("chibi_tag_00007_.png", "chibi.png"),
        ("chibi_tag_00007_.atlas.png", "chibi.atlas.png"),
        ("chibi_tag_00007_.vrm0.vrm", "chibi.vrm0.vrm"),
        ("chibi_00007.png", "chibi.png"),
        ("party_20240501.final_00001_.png", "party_20240501.final.png"),
        ("party_20240501.5_00001_.png", "party_20240501.5.png"),
    ],
)
def test_the_server_counter_goes_wherever_it_stands(name, plain):
    """The avatar and its atlas would be named apart by a number that means nothing here."""
    assert _plain_name(name, "tag") == plain


def test_a_failing_node_is_named():
    """“Server error” would send the user through a graph of fifty nodes."""
    with FakeComfy() as fake, SyncClient(fake.url) as client:
        with pytest.raises(JobFailed) as caught:
            client.run(echo_prompt("explode"))
    assert "“Say” (#1, Echo) failed: ValueError: it exploded" in caught.value.text("en")
    assert "节点「Say」" in caught.value.text("zh")
    assert caught.value.exit_code == 3


def test_partial_validity_is_an_error_and_nothing_is_left_running():
    """ComfyUI answers 200 and makes fewer files; the user would notice days later."""

    def half(body):
        error = {"type": "required_input_missing", "details": "value", "extra_info": {"input_name": "value"}}
        errors = {"2": {"errors": [error], "dependent_outputs": ["2"], "class_type": "Save"}}
        return web.json_response({"prompt_id": body["prompt_id"], "number": 1, "node_errors": errors})

    with FakeComfy() as fake, SyncClient(fake.url) as client:
        fake.reject = half
        with pytest.raises(PromptRejected) as caught:
            client.queue(echo_prompt())
    assert caught.value.values["partial"] and "“Save” (#2)" in caught.value.text("en")


@pytest.mark.parametrize(
    ("body", "kind", "headers"),
    [
        (b"<html>login</html>", "text/html", {}),
        (b'{"half": ', "application/json", {}),
        (b"", "application/json", {}),
        (b"{}", "application/json", {"Content-Length": str(10 << 30)}),
    ],
)
def test_a_broken_file_is_refused_and_leaves_nothing(body, kind, headers, tmp_path):
    """A login page saved as avatar.vrm, or half a file, would be noticed only in the metaverse app."""

    async def view(_):
        return web.Response(body=body, content_type=kind, headers=headers)

    with FakeComfy() as fake, SyncClient(fake.url, patience=1) as client:
        fake.view_hook = view
        with pytest.raises((OutputRefused, ServerUnreachable)):
            client.run(echo_prompt("x"), out_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [10 << 30, None], ids=["announced", "endless"])
def test_a_reply_of_ten_gigabytes_is_not_read(length, monkeypatch):
    """A hostile server would fill the memory of whoever asks it how it is."""
    from chibi_avatar.headless import transport

    monkeypatch.setattr(transport, "MAX_JSON_BYTES", 1 << 20)

    async def stats(request):
        reply = web.StreamResponse(headers={"Content-Type": "application/json"})
        if length is not None:
            reply.content_length = length
        await reply.prepare(request)
        for _ in range(200):
            await reply.write(b" " * 65536)
        return reply

    with FakeComfy() as fake, SyncClient(fake.url, patience=0) as client:
        fake.stats_hook = stats
        with pytest.raises(BadReply, match="bytes"):
            client.system_stats()


def test_an_endless_file_is_cut_off(tmp_path):
    """A server that streams without end would fill the user's disk."""

    async def view(request):
        reply = web.StreamResponse()
        await reply.prepare(request)
        for _ in range(10_000):
            await reply.write(bytes(65536))
        return reply

    with FakeComfy() as fake, SyncClient(fake.url, max_file_bytes=1 << 20) as client:
        fake.view_hook = view
        with pytest.raises(OutputRefused, match="more than 1048576|超过|more than"):
            client.run(echo_prompt("x"), out_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_file_names_from_the_server_stay_in_the_folder(tmp_path):
    """A hostile server could otherwise write to ~/.bashrc."""
    names = [
        "../../evil.json",
        "..\\..\\evil.json",
        "/etc/evil.json",
        ".hidden.json",
        "con.json",
        "头像\u202e.json",
        "a" * 400 + ".json",
    ]
    with FakeComfy() as fake, SyncClient(fake.url) as client:
        job = client.wait(client.queue(echo_prompt("x")))
        fake.files.update({name: b"{}" for name in names})
        outputs = tuple(type(job.outputs[0])("2", "files", name) for name in names)
        files = client.fetch(type(job)(job.id, job.status, outputs), tmp_path / "out")
    assert len(files) == len(names)
    for file in files:
        assert file.path.resolve().parent == (tmp_path / "out").resolve()
        assert not file.path.name.startswith(".") and len(file.path.name.encode()) < 200
    assert "头像_.json" in {file.path.name for file in files}


def test_the_same_photo_is_sent_under_the_same_ascii_name(tmp_path):
    """A name such as 头像.png arrives percent-encoded at ComfyUI, and its loader would not find it."""
    photo = tmp_path / "头像 (1).PNG"
    photo.write_bytes(b"\x89PNG data")
    with FakeComfy() as fake, SyncClient(fake.url) as client:
        first, second = client.upload(photo), client.upload(photo.read_bytes(), ".png")
        with pytest.raises(InputError):
            client.upload(tmp_path / "nowhere.png")
    assert first == second and first.isascii() and list(fake.inputs) == [first]


def test_a_time_limit_and_a_dead_server_end_in_words(tmp_path):
    """A script that waits forever on a dead machine blocks the whole night."""
    with FakeComfy(seconds=30) as fake, SyncClient(fake.url) as client:
        with pytest.raises(JobTimeout):
            client.run(echo_prompt("slow"), timeout=0.3)
        fake._loop.call_soon_threadsafe(fake._stop.set)
    with SyncClient("http://127.0.0.1:9", patience=0.2) as client, pytest.raises(ServerUnreachable) as caught:
        client.system_stats()
    assert "chibi_avatar serve" in caught.value.text("en")
    with SyncClient("not a url://", patience=0), pytest.raises(InputError):
        SyncClient("http://x:notaport", patience=0).system_stats()


def test_another_program_on_the_port_is_recognised():
    """A router's login page on port 8188 must not be taken for a ComfyUI."""

    async def hello(_):
        return web.Response(text="<html>router</html>", content_type="text/html")

    async def work():
        app = web.Application()
        app.router.add_get("/{tail:.*}", hello)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        async with Client(f"127.0.0.1:{port}", patience=0) as client:
            with pytest.raises(BadReply):
                await client.system_stats()
        await runner.cleanup()

    go(work())


def test_the_tag_depends_on_the_content_alone():
    """Two runs of one workflow must name their files alike, two workflows never."""
    one, tag_one = with_tag(echo_prompt("a"))
    _, tag_two = with_tag(echo_prompt("b"))
    assert tag_one == with_tag(echo_prompt("a"))[1] != tag_two
    assert one["2"]["inputs"]["filename_prefix"] == f"avatar_{tag_one}"


def test_importing_the_client_loads_neither_asyncio_nor_aiohttp(root: Path):
    """A command line that needs a second to say its help text feels broken."""
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); started = time.perf_counter()\n"
        "from chibi_avatar.headless import Client\n"
        "spent = time.perf_counter() - started\n"
        "sys.exit('asyncio' in sys.modules or 'aiohttp' in sys.modules or spent > 0.5)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(root)], check=False).returncode == 0


def test_absent_ray_is_one_clear_line(monkeypatch):
    """`--engine ray` without Ray must not end in a traceback."""
    from chibi_avatar.headless.engines import ray_engine

    monkeypatch.setattr(ray_engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ray_engine.RayMissing) as caught:
        ray_engine.ray_workers([], spawn=1)
    assert "pip install" in caught.value.text("en") and caught.value.exit_code == 4


def test_a_stop_that_comes_with_the_answer_is_a_stop():
    """Ctrl-C in that moment would be forgotten, and the batch would go on until its job is done."""

    async def stopped() -> None:
        answer = asyncio.Event()
        waiting = asyncio.create_task(within(answer.wait(), 5))
        await asyncio.sleep(0.01)
        answer.set()
        await asyncio.sleep(0)  # the answer is there, and its waiter has not heard of it
        waiting.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())


def test_what_takes_too_long_is_ended():
    """A request nobody waits for would hold its connection for ever."""
    ended = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(within(slow(), 0.01))
    assert ended
