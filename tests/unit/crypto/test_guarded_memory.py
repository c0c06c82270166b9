"""Guarded memory and the slots in it."""

import copy
import os
import pickle
import resource
import subprocess
import sys
import threading

import pytest

from vault.crypto import hazmat
from vault.crypto.hazmat import GuardedMemory
from vault.crypto.slots import NO_LIMIT, SlotPool, lockable_bytes
from vault.errors import KeyUnavailableError


def test_starts_as_zeros_and_takes_random_bytes() -> None:
    memory = GuardedMemory(4096)
    assert bytes(memory.view(0, 4096)) == bytes(4096)
    memory.fill_random(0, 4096)
    content = bytes(memory.view(0, 4096))
    assert len(set(content)) > 200
    memory.zero(10, 20)
    assert bytes(memory.view(0, 4096)) == content[:10] + bytes(20) + content[30:]
    memory.free()


def test_shows_nothing() -> None:
    memory = GuardedMemory(64)
    hazmat.load_key(memory.pointer(), b"S" * 64)
    assert repr(memory) == str(memory) == f"{memory}" == "<guarded memory>"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(memory)
    with pytest.raises(TypeError, match="not pickled"):
        copy.copy(memory)
    memory.free()


def test_bounds_are_kept() -> None:
    memory = GuardedMemory(64)
    for offset, size in [(-1, 1), (0, 65), (64, 1), (1, 64), (0, -1)]:
        with pytest.raises(IndexError):
            memory.view(offset, size)
        with pytest.raises(IndexError):
            memory.zero(offset, size)
    for offset in (-1, 64):
        with pytest.raises(IndexError):
            memory.pointer(offset)
    memory.free()


@pytest.mark.parametrize("size", [0, -1])
def test_needs_a_size(size: int) -> None:
    with pytest.raises(ValueError, match="size"):
        GuardedMemory(size)


def test_impossible_size() -> None:
    with pytest.raises(KeyUnavailableError):
        GuardedMemory(2**60)


def test_free_ends_it_and_may_be_repeated() -> None:
    memory = GuardedMemory(64)
    memory.free()
    memory.free()
    with pytest.raises(KeyUnavailableError):
        memory.pointer()
    with pytest.raises(KeyUnavailableError):
        memory.view(0, 1)


def test_views_serve_a_pipe_without_bytes_objects() -> None:
    memory = GuardedMemory(96)
    memory.fill_random(0, 32)
    reader, writer = os.pipe()
    try:
        assert os.writev(writer, [memory.view(0, 32)]) == 32
        assert os.readv(reader, [memory.view(40, 32)]) == 32
    finally:
        os.close(reader)
        os.close(writer)
    assert memory.view(40, 32) == memory.view(0, 32)
    memory.free()


def test_copy_key() -> None:
    memory = GuardedMemory(64)
    memory.fill_random(0, 32)
    hazmat.copy_key(memory.pointer(32), memory.pointer(0))
    assert memory.view(32, 32) == memory.view(0, 32)
    memory.free()


def test_reading_past_the_end_ends_the_process() -> None:
    program = (
        "from vault.crypto.hazmat import GuardedMemory\n"
        "memory = GuardedMemory(4096)\n"
        "print('before', flush=True)\n"
        "memory.pointer(4095)[1]\n"
        "print('after', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.stdout == "before\n"
    assert done.returncode < 0


def test_released_slots_are_zeroed() -> None:
    pool = SlotPool(slot_bytes=64, max_bytes=64)
    slot = pool.acquire()
    hazmat.load_key(pool.pointer(slot), b"k" * 64)
    address = pool.pointer(slot)
    pool.release(slot)
    assert bytes(hazmat._ffi.buffer(address, 64)) == bytes(64)
    assert pool.acquire() == slot
    pool.close()


def test_neighbours_keep_their_bytes() -> None:
    pool = SlotPool(slot_bytes=32, max_bytes=32 * 100, slab_slots=7)
    slots = [pool.acquire() for _ in range(100)]
    assert sorted(slots) == list(range(100))
    for slot in slots:
        hazmat.load_key(pool.pointer(slot), bytes([slot]) * 32)
    for slot in slots[::2]:
        pool.release(slot)
    for slot in slots[1::2]:
        assert bytes(hazmat._ffi.buffer(pool.pointer(slot), 32)) == bytes([slot]) * 32
        assert pool.pointer(slot, 31)[0] == slot
    assert (pool.in_use, pool.capacity) == (50, 100)
    assert repr(pool) == "<50 of 100 key slots>"
    pool.close()


def test_budget_is_kept() -> None:
    pool = SlotPool(slot_bytes=32, max_bytes=32 * 10 + 31, slab_slots=4)
    slots = [pool.acquire() for _ in range(10)]
    with pytest.raises(KeyUnavailableError):
        pool.acquire()
    pool.release(slots[3])
    assert pool.acquire() == slots[3]
    pool.close()


def test_misuse_of_slots_is_noticed() -> None:
    pool = SlotPool(slot_bytes=32, max_bytes=320)
    slot = pool.acquire()
    for wrong_slot, offset in [(slot + 1, 0), (-1, 0), (slot, 32), (slot, -1)]:
        with pytest.raises(IndexError):
            pool.pointer(wrong_slot, offset)
    pool.release(slot)
    with pytest.raises(IndexError):
        pool.release(slot)
    with pytest.raises(IndexError):
        pool.pointer(slot)
    with pytest.raises(ValueError, match="size"):
        SlotPool(slot_bytes=0, max_bytes=320)
    pool.close()


def test_closed_pool_gives_nothing() -> None:
    pool = SlotPool(slot_bytes=32, max_bytes=320)
    slot = pool.acquire()
    pool.close()
    pool.close()
    assert pool.in_use == 0
    with pytest.raises(KeyUnavailableError):
        pool.acquire()
    with pytest.raises(IndexError):
        pool.pointer(slot)


def test_many_more_keys_than_guarded_allocations() -> None:
    pool = SlotPool(slot_bytes=32, max_bytes=32 * 20_000)
    slots = {pool.acquire() for _ in range(20_000)}
    assert len(slots) == 20_000
    pool.close()


def test_threads_never_share_a_slot() -> None:
    pool = SlotPool(slot_bytes=32, max_bytes=32 * 16, slab_slots=4)
    shared: list[int] = []

    def work(mark: int) -> None:
        for _ in range(500):
            slot = pool.acquire()
            pointer = pool.pointer(slot)
            hazmat.load_key(pointer, bytes([mark]) * 32)
            if bytes(hazmat._ffi.buffer(pointer, 32)) != bytes([mark]) * 32:
                shared.append(slot)
            pool.release(slot)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared == []
    assert pool.in_use == 0
    pool.close()


def test_lockable_bytes_is_what_the_kernel_grants() -> None:
    allowed = lockable_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    assert soft == hard
    assert allowed in (NO_LIMIT, hard)
    GuardedMemory(min(allowed // 2, 2**20)).free()


def test_memory_that_cannot_be_locked_is_refused() -> None:
    """A process without the right to lock more than 64 KiB: in a user namespace if we are root."""
    program = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))\n"
        "from vault.crypto.hazmat import GuardedMemory\n"
        "from vault.crypto.slots import lockable_bytes\n"
        "from vault.errors import KeyUnavailableError\n"
        "assert lockable_bytes() == 65536\n"
        "GuardedMemory(4096).free()\n"
        "try:\n"
        "    GuardedMemory(2**20)\n"
        "except KeyUnavailableError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", program]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set", "-ipc_lock,-sys_resource", "--inh-caps", "-all", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout == "key memory cannot be locked; raise RLIMIT_MEMLOCK\n", done.stderr
