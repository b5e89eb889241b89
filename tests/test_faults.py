"""Promises about foul weather: whatever happens to the broker or to us, no event is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from brokers import LOSSLESS, Mosquitto, free_port, make_event, make_update, overhear, publisher_to, until

from streamspot.events import decode, encode
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Connection, Dialler
from streamspot.mqtt.journal import Journal
from streamspot.mqtt.resend import resend
from streamspot.mqtt.subscriber import Subscription, subscribe
from streamspot.stats import Delivery

pytestmark = pytest.mark.usefixtures("impatient", "silence")

ENDLESS = Path(__file__).with_name("endless.py")
COUNT = 400
BREAK, MEND = 120, 220  # events between which the broker is disturbed


async def collect(events: Subscription, into: list[int]) -> None:
    """Gather numbers for ever, as a robot would."""
    async for received in events:
        into.append(received.event.seq)  # noqa: PERF401


async def storm(
    broker: Mosquitto,
    folder: Path,
    disturb: Callable[[], Awaitable[None]],
    restore: Callable[[], Awaitable[None]],
    *,
    patience: float = 60.0,
) -> tuple[list[int], Delivery]:
    """Send COUNT events through a disturbance; return the numbers a persistent subscriber saw and the delivery.

    A subscriber that finds no broker tries again later and later: the longer the broker was away, as it is where the
    machine is slow, the more ``patience`` (seconds) it takes to see the rest.
    """
    delivery, got = Delivery(), list[int]()
    async with subscribe(broker.url, client_id="robot") as events:
        robot = asyncio.create_task(collect(events, got))
        async with publisher_to(broker.url, folder, delivery) as publisher:
            for number in range(COUNT):
                if number == BREAK:
                    await disturb()
                if number == MEND:
                    await restore()
                await publisher.take("cam", make_update(make_event(number)))
                await asyncio.sleep(0.004)
            await until(lambda: not delivery.queued, 60.0)
            with contextlib.suppress(TimeoutError):
                await until(lambda: len(got) == COUNT, patience)
            assert delivery.state == "online"
        robot.cancel()
    return got, delivery


@pytest.mark.parametrize("fault", ["SIGTERM", "SIGSTOP", "SIGKILL"])
async def test_a_broker_that_goes_and_comes_loses_nothing(fault: str, tmp_path: Path):
    """Restarted, frozen or killed (with the two documented settings): every event once, in order."""
    with Mosquitto(tmp_path, settings=LOSSLESS) as broker:

        async def disturb() -> None:
            if fault == "SIGSTOP":
                broker.signal(signal.SIGSTOP)
            else:
                broker.stop(signal.Signals[fault])

        async def restore() -> None:
            if fault == "SIGSTOP":
                await asyncio.sleep(2.0)
                broker.signal(signal.SIGCONT)
            else:
                broker.start()

        got, delivery = await storm(broker, tmp_path, disturb, restore)
    assert got == list(range(COUNT))
    assert delivery.acknowledged == COUNT


async def test_a_killed_broker_that_forgot_everything_is_made_good_by_resend(tmp_path: Path):
    """Without persistence a killed broker forgets who subscribed; the journal has it all, ``resend`` repeats it."""
    with Mosquitto(tmp_path, settings="persistence false\n") as broker:

        async def disturb() -> None:
            broker.stop(signal.SIGKILL)

        async def restore() -> None:
            broker.start()

        got, _ = await storm(broker, tmp_path, disturb, restore, patience=2.0)
        assert got == sorted(got)
        missing = set(range(COUNT)) - set(got)
        async with subscribe(broker.url) as events:
            robot = asyncio.create_task(collect(events, got))
            assert await resend(broker.url, tmp_path / "j") == COUNT
            await until(lambda: missing <= set(got))
            robot.cancel()
    assert set(got) == set(range(COUNT))


async def test_the_status_says_offline_when_we_die_and_online_after_a_freeze(tmp_path: Path):
    """The will of a connection the broker has not noticed to be dead never hides that we are back."""
    with Mosquitto(tmp_path) as broker:
        async with publisher_to(broker.url, tmp_path, delivery := Delivery()) as publisher:
            await until(lambda: delivery.state == "online")
            broker.signal(signal.SIGSTOP)
            await publisher.take("cam", make_update(make_event(0)))
            await until(lambda: delivery.state == "retrying")
            broker.signal(signal.SIGCONT)
            await until(lambda: not delivery.queued)
            await asyncio.sleep(0.5)
            assert await retained(broker, "streamspot/n/status") == "online"
        assert await retained(broker, "streamspot/n/status") == "stopped"
        process = await endless(broker.url, tmp_path / "k", 1)
        assert process.stdout is not None
        await process.stdout.readline()
        await until_retained(broker, "online")
        process.kill()
        await process.wait()
        await until_retained(broker, "offline")


async def test_the_death_of_a_process_does_not_mark_another_of_its_node_offline(tmp_path: Path):
    """The broker publishes the dead one's will; the one that lives says that the node is online."""
    with Mosquitto(tmp_path) as broker:
        async with publisher_to(broker.url, tmp_path, delivery := Delivery()):
            await until(lambda: delivery.state == "online")
            async with overhear(broker.url, "streamspot/n/status") as status, asyncio.timeout(20):
                assert (await status.get())[2]  # retained, from before
                process = await endless(broker.url, tmp_path / "k", 1)
                said = [(await status.get())[1]]
                process.kill()
                await process.wait()
                said += [(await status.get())[1] for _ in range(2)]
            assert said == [b"online", b"offline", b"online"]
            assert await retained(broker, "streamspot/n/status") == "online"


async def test_a_stop_for_which_the_broker_is_too_slow_says_so_and_keeps_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The status is stopped all the same, the rest is counted, and the next run delivers it."""

    async def slow(self: Connection, topic: str, payload: bytes, **how: Any) -> None:
        await asyncio.sleep(0.1 if topic.endswith("/event") else 0.0)
        await publish(self, topic, payload, **how)

    publish = Connection.publish
    got = list[int]()
    with Mosquitto(tmp_path) as broker:
        async with subscribe(broker.url, client_id="robot") as events:
            robot = asyncio.create_task(collect(events, got))
            with monkeypatch.context() as patch:
                patch.setattr(Connection, "publish", slow)
                delivery = Delivery()
                async with publisher_to(broker.url, tmp_path, delivery, left=lambda: 0.3) as publisher:
                    await until_retained(broker, "online")
                    for number in range(20):
                        await publisher.take("cam", make_update(make_event(number)))
            assert delivery.queued >= 16
            for topic in ("streamspot/n/status", "streamspot/n/cam/status"):
                assert await retained(broker, topic) == "stopped"
            async with publisher_to(broker.url, tmp_path, delivery):
                await until(lambda: len(got) == 20)
            robot.cancel()
    assert got == list(range(20))
    assert delivery.queued == 0


async def test_a_broker_that_freezes_while_we_stop_does_not_take_us_for_dead(tmp_path: Path):
    """What it reads too late to answer is a farewell all the same: no will is published after it."""
    with Mosquitto(tmp_path) as broker:
        async with publisher_to(broker.url, tmp_path, Delivery(), left=lambda: 0.2) as publisher:
            await until_retained(broker, "online")
            broker.signal(signal.SIGSTOP)
            for number in range(20):
                await publisher.take("cam", make_update(make_event(number)))
            asyncio.get_running_loop().call_later(0.25, broker.signal, signal.SIGCONT)
        await asyncio.sleep(0.5)
        for topic in ("streamspot/n/status", "streamspot/n/cam/status"):
            assert await retained(broker, topic) == "stopped"


async def until_retained(broker: Mosquitto, status: str) -> None:
    """Wait until the broker shows that status of the node."""
    async with asyncio.timeout(10):
        while await retained(broker, "streamspot/n/status") != status:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def retained(broker: Mosquitto, topic: str) -> str:
    """Return the retained payload of a topic."""
    async with overhear(broker.url, topic) as messages, asyncio.timeout(5):
        return (await messages.get())[1].decode()


async def test_a_full_disk_is_told_to_subscribers_and_loses_nothing(tmp_path: Path):
    """While the journal cannot be written the events still go out, and ``…/error`` says what to do."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=192k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:  # noqa: ASYNC221
        pytest.skip("mounting a small tmpfs is not allowed here; run as root")
    try:
        with Mosquitto(tmp_path) as broker:
            got: list[int] = []
            async with (
                subscribe(broker.url) as events,
                overhear(broker.url, "streamspot/n/cam/error") as errors,
            ):
                robot = asyncio.create_task(collect(events, got))
                async with publisher_to(broker.url, disk, delivery := Delivery()) as publisher:
                    for number in range(COUNT):
                        await publisher.take("cam", make_update(make_event(number)))
                        await asyncio.sleep(0.002)
                    assert "not writable" in delivery.error
                    await until(lambda: len(got) == COUNT)
                    async with asyncio.timeout(5):
                        assert b"No space left" in (await errors.get())[1]
                    assert delivery.queued == 0
                robot.cancel()
        assert got == list(range(COUNT))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)  # noqa: ASYNC221


async def test_a_journal_deleted_while_it_runs_is_told_and_loses_nothing(tmp_path: Path):
    """Within seconds ``…/error`` says so; what the broker has not got yet is kept and goes out."""
    with Mosquitto(tmp_path) as broker:
        async with (
            subscribe(broker.url, client_id="robot") as events,
            publisher_to(broker.url, tmp_path, delivery := Delivery()) as publisher,
        ):
            await until(lambda: delivery.state == "online")
            broker.signal(signal.SIGSTOP)
            for number in range(20):
                await publisher.take("cam", make_update(make_event(number)))
            shutil.rmtree(tmp_path / "j")
            await until(lambda: any("deleted" in said for said in delivery.messages), 3.0)
            broker.signal(signal.SIGCONT)
            await until(lambda: not delivery.queued)
            assert delivery.lost == 0
            async with asyncio.timeout(5):
                assert [(await anext(events)).event.seq for _ in range(20)] == list(range(20))
        assert len(list(Journal.read(tmp_path / "j"))) >= 19  # one may have been in flight


async def endless(url: str, folder: Path, *first: int) -> asyncio.subprocess.Process:
    """Start what ``endless.py`` describes: it publishes until it is killed, and prints what the journal has."""
    command = [sys.executable, str(ENDLESS), url, str(folder), *map(str, first)]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)


async def killed_again_and_again(url: str, folder: Path, times: int) -> tuple[list[int], list[int]]:
    """Kill -9 a publisher at random moments; return the numbers it reported and those a subscriber got."""
    reported, got = [], list[int]()
    async with subscribe(url) as events:
        robot = asyncio.create_task(collect(events, got))
        nursery = await endless(url, folder)
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        for _ in range(times):
            nursery.stdin.write(b"%d\n" % len(reported))
            process = int(await nursery.stdout.readline())
            lines = [await nursery.stdout.readline()]
            await asyncio.sleep(random.uniform(0, 0.1))
            os.kill(process, signal.SIGKILL)
            while (line := await nursery.stdout.readline()) != b"killed\n":
                lines.append(line)
            reported += [int(line) for line in lines]
        nursery.stdin.close()
        await nursery.wait()
        async with publisher_to(url, folder, delivery := Delivery()):
            await until(lambda: not delivery.queued)
        await until(lambda: set(reported) <= set(got), 5.0)
        robot.cancel()
    return reported, got


async def test_kill_9_between_journal_and_publish_loses_nothing_reported(tmp_path: Path):
    """Whenever we are killed: what any sink reported arrives at the subscriber, after the restart at the latest."""
    with Mosquitto(tmp_path) as broker:
        reported, got = await killed_again_and_again(broker.url, tmp_path, 4)
    assert reported
    assert set(reported) <= set(got)


@pytest.mark.slow
async def test_kill_9_a_hundred_times(tmp_path: Path):
    """The same, a hundred times."""
    with Mosquitto(tmp_path) as broker:
        reported, got = await killed_again_and_again(broker.url, tmp_path, 100)
    assert set(reported) <= set(got)


async def test_a_journal_left_behind_is_complete_after_every_fault(tmp_path: Path):
    """The journal holds every event in order, delivered or not, and nothing but events."""
    port = free_port()
    async with publisher_to(f"mqtt://127.0.0.1:{port}", tmp_path, drain=0.1) as publisher:
        for number in range(50):
            await publisher.take("cam", make_update(make_event(number)))
    assert [decode(payload).seq for payload in Journal.read(tmp_path / "j")] == list(range(50))


async def test_a_damaged_line_in_the_journal_is_passed_over_and_told(tmp_path: Path):
    """A block of zeros that a power failure left costs the events in it and no other."""
    with Mosquitto(tmp_path) as broker:
        with Journal(tmp_path / "j") as journal:
            for number in range(3):
                journal.append(encode(make_event(number), node="n") if number != 1 else b"\0" * 100)
        async with (
            subscribe(broker.url) as events,
            publisher_to(broker.url, tmp_path, delivery := Delivery()),
        ):
            async with asyncio.timeout(5):
                assert [(await anext(events)).event.seq for _ in range(2)] == [0, 2]
            await until(lambda: delivery.queued == 0)


async def test_a_callback_that_fails_does_not_end_the_delivery(tmp_path: Path):
    """A fault in the program's answer to a command is shown; the events go on."""

    def fail(command: object) -> None:
        raise RuntimeError(command)

    with Mosquitto(tmp_path) as broker:
        delivery = Delivery()
        publisher = publisher_to(broker.url, tmp_path, delivery, on_command=fail)
        async with (
            subscribe(broker.url) as events,
            publisher,
            Dialler(Broker.parse(broker.url)).connect() as other,
        ):
            await until(lambda: delivery.state == "online")
            await other.publish("streamspot/n/cam/set", b'{"command":"pause"}')
            await until(lambda: delivery.state == "retrying")
            assert "Pause()" in delivery.error
            await publisher.take("cam", make_update(make_event(0)))
            async with asyncio.timeout(5):
                assert (await anext(events)).event.seq == 0
