"""P3 and P9 on real file systems: full, read-only, and cut off from power. Skipped where mounting is not allowed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from bvc.errors import BvcError
from bvc.store.fsck import fsck
from bvc.store.space import free_reserve
from bvc.store.store import Store
from tests.store.build import MAIN, add_commit, array, git
from tests.torture.crowd import start_writer
from tests.torture.disks import can_mount, image_disk, make_image, small_disk

pytestmark = pytest.mark.skipif(not can_mount(), reason="mounting is not allowed here")

CUTS, CONTROLS = 22, 6


def fill(disk: Path) -> Path:
    """Takes every byte that is left."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"\1" * size):
                    pass
            except OSError:
                continue
    return path


def test_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "24m") as disk, Store.create(disk / ".bvc") as store:
        commits = [add_commit(store, f"m{n}", {"a": f"{n}"}, [array(n)]) for n in range(3)]
        filler = fill(disk)
        for number in range(3):
            with pytest.raises(BvcError, match="No space left"):
                add_commit(store, f"full-{number}", {"a": "x" * 9999}, [array(50 + number)])
        with Store.open(disk / ".bvc") as fresh:
            assert [i.id for i in fresh.history.walk([str(fresh.refs.get(MAIN))])] == commits[::-1]
            assert fsck(fresh).problems == ()
        assert list(store.layout.tmp.iterdir()) == []
        assert free_reserve(store.layout)
        assert add_commit(store, "on spare bytes", {"a": "y"})
        filler.unlink()
        commits.append(add_commit(store, "roomy", arrays=[array(60)]))
        assert fsck(store).problems == ()
        assert git(store.root, "fsck", "--strict", "--full") == ""


@pytest.mark.parametrize("room", range(4_000, 140_000, 24_000))
def test_a_disk_that_fills_up_midway(tmp_path: Path, room: int) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk, Store.create(disk / ".bvc") as store:
        first = add_commit(store, "m0", arrays=[array(0)])
        filler = fill(disk)
        os.truncate(filler, filler.stat().st_size - room)
        try:
            last = add_commit(store, "m1", {"a": os.urandom(9000).hex()}, [array(1, rows=2000)])
        except BvcError as error:
            assert "No space left" in error.message
            last = first
        filler.unlink()
        assert store.refs.get(MAIN) == last
        add_commit(store, "m2", arrays=[array(2)])
        assert fsck(store).problems == ()


def test_a_read_only_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        with Store.create(disk / ".bvc") as store:
            commits = [add_commit(store, f"m{n}", {"a": f"{n}"}, [array(n)]) for n in range(3)]
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for index_is_there in (True, False):
            with Store.open(disk / ".bvc") as store:
                assert [i.id for i in store.history.walk([str(store.refs.get(MAIN))])] == commits[::-1]
                assert store.objects.exists(commits[0])
                with pytest.raises(BvcError, match="Read-only file system") as refused:
                    add_commit(store, "m3")
                assert refused.value.hint is not None
            if index_is_there:
                subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
                shutil.rmtree(disk / ".bvc/bvc/index")
                subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def cut_power(folder: Path, seed: int, *, synced: bool) -> list[str]:
    """Commits on a disk, takes a copy of its bytes at a random moment, and says what is wrong on a machine that starts
    with that copy. Without `synced`, every fsync of the writer is made to do nothing: the control, which must fail."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    generator = random.Random(seed)
    image = make_image(folder / "image")
    with image_disk(image, folder / "disk") as disk:
        root = disk / ".bvc"
        with Store.create(root) as store:
            found = [add_commit(store, "base", {"probe-0": "the same", "probe-1": "-"}, [array(0)])]
        os.sync()
        writer = start_writer(root, "w", 10_000)
        tracer = None if synced else _ignore_syncs(writer.pid)
        assert writer.stdout is not None
        found += [writer.stdout.readline().strip() for _ in range(generator.randint(1, 6))]
        select_wait(writer, generator.uniform(0, 0.2))
        os.kill(writer.pid, signal.SIGSTOP)
        shutil.copyfile(image, folder / "copy")
        os.kill(writer.pid, signal.SIGKILL)
        found += [line for line in writer.communicate()[0].split("\n") if len(line) == 40]
        if tracer is not None:
            tracer.wait()
    with image_disk(folder / "copy", folder / "restarted") as disk:
        return list(after_restart(disk / ".bvc", found))


def select_wait(writer: subprocess.Popen[str], seconds: float) -> None:
    """Lets the writer go on for a while."""
    try:
        writer.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError("the writer ended")


def _ignore_syncs(pid: int) -> subprocess.Popen[bytes]:
    calls = "fsync,fdatasync,sync_file_range,msync"
    options = ["-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={calls}:retval=0"]
    return subprocess.Popen(["strace", *options, "-p", str(pid)], stderr=subprocess.DEVNULL)


def after_restart(root: Path, acknowledged: list[str]) -> list[str]:
    """What is wrong: lost commits, damage, a store that blocks."""
    try:
        with Store.open(root, timeout=1.0) as store:
            history = [i.id for i in store.history.walk([str(store.refs.head().commit)])]
            wrong = [f"lost {commit}" for commit in acknowledged if commit not in history]
            add_commit(store, "after", {"probe-0": "the same"}, [array(0)])
            wrong += [str(problem) for problem in fsck(store).problems]
        complaints = git(root, "fsck", "--strict", "--full", check=False).splitlines()
        return wrong + [line for line in complaints if not line.startswith("dangling")]
    except (BvcError, OSError) as error:
        return [str(error)]


def test_one_power_cut(tmp_path: Path) -> None:
    assert cut_power(tmp_path / "cut", seed=1, synced=True) == []


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_power_cuts_and_their_control(tmp_path: Path, figures: list[str]) -> None:
    failed = [wrong for seed in range(CUTS) if (wrong := cut_power(tmp_path / "cut", seed, synced=True))]
    control = [wrong for seed in range(CONTROLS) if (wrong := cut_power(tmp_path / "cut", seed, synced=False))]
    figures.append(
        f"power cuts: {CUTS - len(failed)} of {CUTS} clean; without syncs {CONTROLS - len(control)} of {CONTROLS} clean"
    )
    assert failed == []
    assert len(control) == CONTROLS, "the control did not fail: these cuts prove nothing"
