"""The supervisor and its processes, as they really run: respawned, drained, never orphaned."""

import contextlib
import os
import shutil
import signal
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from customervault.v1 import common_pb2, token_service_pb2, token_service_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.unit.server.running import SERVE, RunningVault, is_alive, kill
from vault.store.runfiles import lock_holder

PASSPHRASE = "of-the-test-7f3a"
CANARY = "canary.7f3a@example.org"
pytestmark = pytest.mark.slow
SERVICES = {
    *(
        f"customervault.v1.{name}Service"
        for name in (
            *("Approval", "Audit", "Consent", "Customer", "Erasure", "Key", "Policy", "Search", "Token"),
        )
    ),
    "google.longrunning.Operations",
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningVault]:
    """Shared by the tests that leave the vault serving."""
    vault = RunningVault(tmp_path_factory.mktemp("vault"))
    yield vault
    vault.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningVault]:
    """For a test that ends it."""
    vault = RunningVault(tmp_path)
    yield vault
    vault.close()


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningVault]:
    """A vault as it is meant to run: not for development."""
    vault = RunningVault(tmp_path_factory.mktemp("founded"), passphrase=PASSPHRASE)
    yield vault
    vault.close()


def store(vault: RunningVault, external_id: str, email: str = "ada@example.org") -> str:
    """Stores an e-mail address; returns its token."""
    entry = token_service_pb2.TokenizeEntry(
        customer=common_pb2.CustomerRef(external_id=external_id),
        fields=[common_pb2.FieldInput(field_class="email", value=email)],
    )
    with vault.channel() as channel:
        stub = token_service_pb2_grpc.TokenServiceStub(channel)
        request = token_service_pb2.TokenizeRequest(entry=entry, request_id=str(uuid.uuid4()))
        return str(stub.Tokenize(request, timeout=10).result.results[0].token)


def read(vault: RunningVault, token: str) -> str:
    with vault.channel() as channel:
        stub = token_service_pb2_grpc.TokenServiceStub(channel)
        request = token_service_pb2.DetokenizeRequest(tokens=[token], purpose="support")
        return str(stub.Detokenize(request, timeout=10).values[0])


def test_values_go_in_and_come_back(running: RunningVault) -> None:
    assert running.is_serving()
    token = store(running, "crm-1")
    assert read(running, token) == "ada@example.org"


def test_every_worker_serves_and_is_counted(running: RunningVault) -> None:
    assert len(running.workers) == 2
    running.wait_until(running.is_whole)
    store(running, "crm-2")
    status, text = running.http("/metrics")
    assert status == 200
    assert 'cvault_calls_total{code="OK",method="Tokenize",reason=""}' in text
    assert "cvault_chores_total" in text
    assert running.http("/other")[0] == 404


def test_reflection_lists_the_services(running: RunningVault) -> None:
    with running.channel() as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = list(stub.ServerReflectionInfo(iter([request]), timeout=10))
    assert {service.name for service in answer.list_services_response.service} == SERVICES


def test_open_streams_do_not_starve_calls(running: RunningVault) -> None:
    with running.channel() as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        streams = [stub.ServerReflectionInfo(iter(lambda: time.sleep(5), None), timeout=5) for _ in range(10)]
        token = store(running, "crm-3")
        assert read(running, token) == "ada@example.org"
        for stream in streams:
            stream.cancel()


def test_a_killed_worker_is_respawned(running: RunningVault) -> None:
    assert sorted(spawned_by(running.process.pid)) == sorted(running.children())
    token = store(running, "crm-4")
    before = running.workers
    kill(before[0])
    running.wait_until(lambda: len(running.workers) == 2 and before[0] not in running.workers)
    running.wait_until(running.is_whole)
    assert before[1] in running.workers
    for _ in range(8):  # over several connections, so that both workers answer
        assert read(running, token) == "ada@example.org"


def test_a_killed_keeper_is_respawned_on_the_same_port(running: RunningVault) -> None:
    (keeper,) = set(running.children()) - set(running.workers)
    kill(keeper)
    running.wait_until(lambda: not is_alive(keeper))
    running.wait_until(running.is_whole)


def test_a_second_supervisor_is_refused(running: RunningVault) -> None:
    second = subprocess.run(running.command(), capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 4
    assert f"process {running.process.pid} serves this vault already" in second.stderr
    assert running.is_serving()


def test_another_vault_cannot_take_the_port(running: RunningVault, tmp_path: Path) -> None:
    command: list[str | Path] = [
        *SERVE,
        "--dev",
        "--data",
        tmp_path / "other",
        "--listen",
        running.ready["address"],
    ]
    other = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert other.returncode == 4
    assert "cannot listen" in other.stderr


def test_development_is_refused_beyond_loopback(tmp_path: Path) -> None:
    command: list[str | Path] = [*SERVE, "--dev", "--data", tmp_path / "data", "--listen", "0.0.0.0:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode not in (0, 4)
    assert "loopback" in done.stderr
    assert not (tmp_path / "data" / "FORMAT").exists()


def test_after_a_failed_commit_every_process_is_replaced(own: RunningVault) -> None:
    token = store(own, "crm-1")
    before = set(own.children())
    flag = own.data / "run" / "writes-stopped"
    flag.write_text('{"reason": "test", "time_ms": 0}')
    own.wait_until(lambda: not flag.exists())
    assert not before & set(own.children())
    assert read(own, token) == "ada@example.org"
    store(own, "crm-2")


def test_a_worker_that_holds_the_write_lock_too_long_is_ended(own: RunningVault) -> None:
    token = store(own, "crm-1")
    stuck = stop_inside_a_write(own)
    own.wait_until(lambda: not is_alive(stuck), seconds=30)
    own.wait_until(own.is_whole)
    store(own, "crm-2")
    assert read(own, token) == "ada@example.org"


def thousand_notes(batch: int) -> token_service_pb2.BatchTokenizeRequest:
    return token_service_pb2.BatchTokenizeRequest(
        entries=[
            {
                "customer": {"external_id": f"crm-{batch}-{number}"},
                "fields": [{"field_class": "note", "value": "x" * 500}],
            }
            for number in range(1000)
        ],  # type: ignore[arg-type]
        request_id=str(uuid.uuid4()),
    )


def test_sigterm_finishes_what_was_begun(own: RunningVault) -> None:
    children = own.children()
    with own.channel() as channel:
        stub = token_service_pb2_grpc.TokenServiceStub(channel)
        stub.InspectToken(token_service_pb2.InspectTokenRequest(token=store(own, "crm-x")))
        calls = [stub.BatchTokenize.future(thousand_notes(batch), timeout=30) for batch in range(6)]
        calls[0].result()  # the others have arrived by now, and wait for their turn
        assert not all(call.done() for call in calls)
        assert own.terminate() == 0
        assert [len(call.result().results) for call in calls] == [1000] * len(calls)
    assert not any(is_alive(pid) for pid in children)
    assert not own.ready_file.exists()


def test_a_second_sigterm_ends_everything_at_once(own: RunningVault) -> None:
    children = own.children()
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    own.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    started = time.monotonic()
    own.process.send_signal(signal.SIGTERM)
    own.process.wait(5)
    assert time.monotonic() - started < 3
    assert not any(is_alive(pid) for pid in children)


def test_no_process_outlives_a_killed_supervisor(own: RunningVault) -> None:
    token = store(own, "crm-1")
    children = own.children()
    address = own.ready["address"]
    assert len(children) == 3
    own.process.kill()
    own.process.wait()
    own.wait_until(lambda: not any(is_alive(pid) for pid in children), seconds=10)
    own.start(address)
    assert read(own, token) == "ada@example.org"


def test_everything_killed_at_once_starts_again(own: RunningVault) -> None:
    token = store(own, "crm-1")
    address = own.ready["address"]
    for pid in [own.process.pid, *own.children()]:
        kill(pid)
    own.process.wait()
    own.start(address)
    assert read(own, token) == "ada@example.org"


def test_no_value_key_or_token_reaches_log_or_metrics(running: RunningVault) -> None:
    token = store(running, CANARY, CANARY)
    with running.channel("dev-other") as channel:
        stub = token_service_pb2_grpc.TokenServiceStub(channel)
        request = token_service_pb2.DetokenizeRequest(tokens=[token], purpose="support")
        answer = stub.Detokenize(request, timeout=10)
        assert list(answer.values) == [""]
        assert token not in answer.errors[0].status.message
    with running.channel() as channel:
        stub = token_service_pb2_grpc.TokenServiceStub(channel)
        for update in (
            token_service_pb2.UpdateValueRequest(token=token, value="not an address " + CANARY),
            token_service_pb2.UpdateValueRequest(token=token[:-1] + "!", value=CANARY),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                stub.UpdateValue(update, timeout=10)
            assert CANARY not in str(refused.value)
            assert token not in str(refused.value)
    passphrase = (running.data / "dev" / "passphrase").read_text()
    seen = running.log.read_text() + running.http("/metrics")[1]
    for secret in (CANARY, token, token[4:], passphrase):
        assert secret not in seen


def test_processes_leave_no_core_and_take_no_other_key(founded: RunningVault) -> None:
    assert founded.is_serving()
    assert founded.ready["certificates"] == {}
    for pid in (founded.process.pid, *founded.children()):
        limits = Path(f"/proc/{pid}/limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
        assert PASSPHRASE not in Path(f"/proc/{pid}/environ").read_text()
        assert PASSPHRASE not in Path(f"/proc/{pid}/cmdline").read_text()
    assert PASSPHRASE not in founded.log.read_text()


def test_sighup_renews_the_servers_certificate(founded: RunningVault) -> None:
    before, pids = served_certificate(founded), founded.workers
    (founded.data / "tls" / "server.crt").unlink()
    assert served_certificate(founded) == before
    founded.process.send_signal(signal.SIGHUP)
    founded.wait_until(lambda: served_certificate(founded) != before)
    assert founded.workers == pids
    assert founded.is_serving()


def test_a_wrong_passphrase_ends_the_start(founded: RunningVault, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong-7f3a")
    copy = tmp_path / "data"
    shutil.copytree(founded.data, copy)
    command: list[str | Path] = [
        *SERVE,
        "--data",
        copy,
        "--listen",
        "127.0.0.1:0",
        "--passphrase-file",
        wrong,
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as ended:
        said = ended.communicate(timeout=60)[1]
    assert ended.returncode == 4
    assert "passphrase" in said
    assert "7f3a" not in said
    assert spawned_by(ended.pid) == []


def test_development_does_not_serve_a_vault_that_it_did_not_found(
    founded: RunningVault, tmp_path: Path
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(founded.data, copy)
    command: list[str | Path] = [*SERVE, "--dev", "--data", copy, "--listen", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode not in (0, 4)
    assert "not a development vault" in done.stderr


def spawned_by(supervisor: int) -> list[int]:
    """Processes that run and were told that this is their supervisor."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            line = path.read_text(errors="replace").split("\0")
            if str(supervisor) in line and any(each.startswith("vault.server.") for each in line):
                found.append(int(path.parent.name))
    return found


def stop_inside_a_write(vault: RunningVault) -> int:
    """Stops a worker at a moment at which it holds the write lock; returns its pid."""
    with vault.channel() as channel:
        stub = token_service_pb2_grpc.TokenServiceStub(channel)
        for round_ in range(20):
            entries = [
                {
                    "customer": {"external_id": f"busy-{round_}-{n}"},
                    "fields": [{"field_class": "note", "value": "x"}],
                }
                for n in range(500)
            ]
            request = token_service_pb2.BatchTokenizeRequest(entries=entries, request_id=str(uuid.uuid4()))  # type: ignore[arg-type]
            call = stub.BatchTokenize.future(request, timeout=60)
            while not call.done():
                holder = lock_holder(vault.data)
                if holder is None or holder.pid not in vault.workers:
                    continue
                os.kill(holder.pid, signal.SIGSTOP)
                time.sleep(0.05)
                if (still := lock_holder(vault.data)) is not None and still.pid == holder.pid:
                    return holder.pid
                os.kill(holder.pid, signal.SIGCONT)
    pytest.fail("no worker was caught with the write lock")


def served_certificate(vault: RunningVault) -> str:
    host, _, port = vault.ready["address"].rpartition(":")
    return ssl.get_server_certificate((host, int(port)), timeout=10)
