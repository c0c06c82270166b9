"""Where data keys and epoch keys lie in the memory of a serving vault: in guarded slabs, and nowhere else.

The vault that is searched is a development vault, whose processes may be looked into; a vault without `--dev`
may not, which is the other half of this.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from customervault import Vault as Client

from benchmarks.processes import descendants
from benchmarks.throwaway import ThrowAwayVault
from tests.scenarios.support.deployment import Deployment
from tests.scenarios.support.forensics.keylist import read_key
from tests.scenarios.support.forensics.memory import dumpable, keys_in_memory, without_all_seeing_capabilities
from tests.scenarios.support.forensics.scanning import Needles
from tests.scenarios.support.server import serving
from vault.config import load_settings
from vault.core.vault import Vault
from vault.crypto import hazmat
from vault.keys.unlock import unlock
from vault.model.secret import Secret

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

CUSTOMERS = 200
WORKERS = 2
HOLDER = """
import sys
from vault.crypto import hazmat
outside = sys.stdin.buffer.read(32)
guarded = hazmat.GuardedMemory(64)
hazmat.load_key(guarded.pointer(17), bytes(byte ^ 255 for byte in outside))
print("ready", flush=True)
sys.stdin.buffer.read()
"""


@contextmanager
def started(folder: Path) -> Iterator[ThrowAwayVault]:
    """A development vault that serves, and keeps no replaced data key for backups."""
    vault = ThrowAwayVault(folder, "[backup]\nkeep_days = 0\n")
    vault.start(WORKERS)
    try:
        yield vault
    finally:
        vault.stop()


@pytest.fixture
def throwaway(tmp_path: Path) -> Iterator[ThrowAwayVault]:
    """The same, for a test."""
    with started(tmp_path) as vault:
        yield vault


def test_data_keys_and_epoch_keys_lie_in_guarded_memory_only(throwaway: ThrowAwayVault) -> None:
    gone = work(throwaway)
    epoch_key, living = keys_of(throwaway)
    assert len(living) == CUSTOMERS - len(gone)
    needles = Needles([epoch_key, *living])
    found = {pid: list(keys_in_memory(pid, needles)) for pid in descendants(throwaway.ready.pid)}
    outside = [each for places in found.values() for each in places if not each.guarded]
    assert outside == []
    holders = {pid for pid, places in found.items() if any(each.needle == 0 for each in places)}
    assert holders >= {throwaway.ready.pid, *throwaway.ready.workers}
    cached = {each.needle for pid in throwaway.ready.workers for each in found[pid]}
    assert len(cached) > len(living) // 2  # so the search does see them


def test_after_a_rotation_no_key_of_either_epoch_lies_elsewhere(throwaway: ThrowAwayVault) -> None:
    work(throwaway)
    former, wrapped_before = keys_of(throwaway)
    with throwaway.connect(purpose="support", domain="crm") as vault:
        tokens = {name: stored(vault, name) for name in ("deleted", "corrected")}
        vault.delete(tokens["deleted"][0])
        vault.update(tokens["corrected"][0], "Joan corrected")
        replaced = set(keys_of(throwaway)[1]) - set(wrapped_before)
        rotation = vault.rotate_epoch()
        give_up = time.monotonic() + 60
        while not rotation.finished and time.monotonic() < give_up:
            time.sleep(0.1)
            rotation = vault.epoch_rotation(rotation.name)
        assert (rotation.finished, rotation.error) == (True, None)
        for each in tokens.values():
            assert vault.detokenize(each[1:]).ok
    epoch_key, living = keys_of(throwaway)
    assert epoch_key != former
    assert len(replaced - set(living)) == len(tokens)
    needles = Needles([former, epoch_key, *living, *replaced])
    found = {pid: list(keys_in_memory(pid, needles)) for pid in descendants(throwaway.ready.pid)}
    places = [each for found_there in found.values() for each in found_there]
    assert [each for each in places if not each.guarded] == []
    assert [each for each in places if each.needle == 0] == []  # the former epoch's key is nowhere any more
    holders = {each.pid for each in places if each.needle == 1}
    assert holders >= {throwaway.ready.pid, *throwaway.ready.workers}


def work(throwaway: ThrowAwayVault) -> list[str]:
    """Writes, reads, corrections, replaced keys and shreds, over several connections; who was shredded."""
    names = [f"customer-{n}" for n in range(CUSTOMERS)]
    with throwaway.connect(purpose="support", domain="crm") as vault:
        tokens = {name: stored(vault, name) for name in names}
        for _ in range(4):
            for name in names:
                assert vault.detokenize(tokens[name]).ok
        for name in names[:20]:
            vault.update(tokens[name][0], f"Joan {name}")
            vault.rotate_dek(external_id=name)
        for name in names[-20:]:
            vault.shred(external_id=name)
        for name in names[:-20]:
            assert vault.detokenize(tokens[name]).ok
    return names[-20:]


def stored(vault: Client, name: str) -> list[str]:
    """The tokens of two values of a customer."""
    made = vault.tokenize(name, {"name": f"Jane {name}", "email": f"{name}@example.com"})
    return list(made.tokens.values())


def keys_of(throwaway: ThrowAwayVault) -> tuple[bytes, list[bytes]]:
    """The epoch key, and the data key of every living customer, by opening the vault here, too."""
    settings = load_settings(throwaway.data)
    passphrase = Secret((throwaway.data / "dev" / "passphrase").read_text())
    edk = unlock(throwaway.data, settings, passphrase)
    key = read_key(edk.pointer())
    vault = Vault.open(throwaway.data, settings, edk, process_name="looks")
    living = []
    try:
        engine = vault.engine
        with engine.store.keyring() as keyring:
            for name, row in list(keyring.deks()):
                number, generation = int.from_bytes(name[1:6], "big"), int.from_bytes(name[6:], "big")
                with engine.deks.unwrap(row, keyring.epoch, engine.region, number, generation) as dek:  # type: ignore[arg-type]
                    living.append(read_key(dek.pointer))
    finally:
        vault.close()
    return key, living


def test_a_key_on_the_heap_is_told_from_one_in_guarded_memory() -> None:
    key = hazmat.random_bytes(32)
    guarded = bytes(byte ^ 255 for byte in key)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin
    assert holder.stdout
    with holder:
        holder.stdin.write(key)
        holder.stdin.flush()
        assert holder.stdout.readline() == b"ready\n"
        found = list(keys_in_memory(holder.pid, Needles([key, guarded])))
        holder.stdin.close()
    assert {each.guarded for each in found if each.needle == 0} == {False}
    assert True in {each.guarded for each in found if each.needle == 1}


def test_no_process_of_a_vault_without_dev_can_be_looked_into(deployment: Deployment, tmp_path: Path) -> None:
    def look() -> None:
        with started(tmp_path) as throwaway:
            development = descendants(throwaway.ready.pid)
            assert dumpable(development) == [True] * len(development)
        with serving(deployment, tmp_path) as server:
            processes = descendants(server.pid)
            assert len(processes) >= 1 + 1 + len(server.workers)
            assert dumpable(processes) == [False] * len(processes)

    without_all_seeing_capabilities(look)
