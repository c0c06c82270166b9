"""The fixture against programs that behave as a vault may: promptly, never, badly."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from customervault import pytest_plugin
from customervault.errors import ConfigurationError

PROMPT = """
    ready = sys.argv[sys.argv.index("--ready-file") + 1]
    assert sys.argv[1:5] == ["serve", "--dev", "--data", os.path.dirname(ready) + "/data"], sys.argv
    assert sys.argv[5:7] == ["--listen", "127.0.0.1:0"], sys.argv
    names = ("dev", "admin", "dev-other")
    state = {
        "address": "127.0.0.1:1",
        "ca": "/absent/ca.crt",
        "certificates": {n: {"certificate": f"/absent/{n}.crt", "key": f"/absent/{n}.key"} for n in names},
        "pid": os.getpid(),
    }
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT))
    with open(ready, "w") as file:
        file.write("{")
        file.flush()
        time.sleep(0.2)
        file.write(json.dumps(state)[1:])
    signal.pause()
"""


def program(folder: Path, body: str) -> str:
    path = folder / "cvault"
    head = f"#!{sys.executable}\nimport json, os, signal, sys, time\n"
    path.write_text(head + textwrap.dedent(body))
    path.chmod(0o755)
    return str(path)


def test_a_vault_is_started_used_and_ended(tmp_path: Path) -> None:
    vault, process = pytest_plugin.start(program(tmp_path, PROMPT.replace("EXIT", "0")), tmp_path)
    assert vault.address == "127.0.0.1:1"
    assert vault.environment == {
        "CVAULT_ADDRESS": "127.0.0.1:1",
        "CVAULT_CA": "/absent/ca.crt",
        "CVAULT_CERTIFICATE": "/absent/dev.crt",
        "CVAULT_KEY": "/absent/dev.key",
    }
    with pytest.raises(ConfigurationError, match=r"/absent/ca\.crt"):
        vault.connect("admin")
    with pytest.raises(ValueError, match="admin, dev, dev-other"):
        vault.connect("nobody")
    assert process.poll() is None
    pytest_plugin.stop(process, tmp_path)
    assert process.returncode == 0


def test_a_vault_that_dies_at_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    executable = program(tmp_path, 'sys.exit("the map is too small")')
    with pytest.raises(
        pytest.fail.Exception, match=r"ended at start, exit code 1(?s:.)*the map is too small"
    ):
        pytest_plugin.start(executable, tmp_path)


def test_a_vault_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    body = f"""
        print("warming up", flush=True)
        open({str(pid_file)!r}, "w").write(str(os.getpid()))
        signal.pause()
    """
    with pytest.raises(pytest.fail.Exception, match=r"not ready within 1 s(?s:.)*warming up"):
        pytest_plugin.start(program(tmp_path, body), tmp_path, limit_seconds=1)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_vault_that_ignores_its_end_is_a_failure(tmp_path: Path) -> None:
    stubborn = PROMPT.replace("lambda *_: sys.exit(EXIT)", "signal.SIG_IGN")
    _, process = pytest_plugin.start(program(tmp_path, stubborn), tmp_path)
    with pytest.raises(pytest.fail.Exception, match=r"did not end within 0\.3 s of SIGTERM"):
        pytest_plugin.stop(process, tmp_path, limit_seconds=0.3)
    assert process.returncode is not None


def test_a_vault_that_ends_badly_is_a_failure(tmp_path: Path) -> None:
    _, process = pytest_plugin.start(program(tmp_path, PROMPT.replace("EXIT", "9")), tmp_path)
    with pytest.raises(pytest.fail.Exception, match="ended with exit code 9"):
        pytest_plugin.stop(process, tmp_path)


def run_pytest(folder: Path, test: str, *, path: str) -> subprocess.CompletedProcess[str]:
    """A test run of its own, by an interpreter that has no `cvault` beside it."""
    (folder / "test_service.py").write_text(textwrap.dedent(test))
    lonely = folder / "bin" / "python"
    lonely.parent.mkdir()
    lonely.symlink_to(sys.executable)
    environment = {"PATH": path, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HOME": str(folder)}
    return subprocess.run(
        [lonely, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-rs", "test_service.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def service_test() -> str:
    return """
        def test_contact(customer_vault):
            assert customer_vault.address == "127.0.0.1:1"
    """


def test_the_fixture_starts_the_installed_vault(tmp_path: Path, service_test: str) -> None:
    installed = tmp_path / "installed"
    installed.mkdir()
    program(installed, PROMPT.replace("EXIT", "0"))
    done = run_pytest(tmp_path, service_test, path=str(installed))
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "warning" not in done.stdout


def test_the_fixture_skips_where_no_vault_is_installed(tmp_path: Path, service_test: str) -> None:
    done = run_pytest(tmp_path, service_test, path="/nowhere")
    assert "1 skipped" in done.stdout, done.stdout + done.stderr
    assert "cvault is not installed" in done.stdout


def test_the_plugin_is_inert_without_its_fixture(tmp_path: Path) -> None:
    test = """
        import sys
        def test_nothing():
            assert "customervault.pytest_plugin" in sys.modules
            assert "grpc" not in sys.modules
    """
    done = run_pytest(tmp_path, test, path="/nowhere")
    assert "1 passed" in done.stdout, done.stdout + done.stderr
