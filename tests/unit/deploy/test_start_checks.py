"""What is refused before a start begins anything, and how our own clients know the instance."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from deploy.config import read_settings
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.listening import tls_context, trusting
from deploy.part_status import check_status_port
from deploy.runtime import Runtime
from deploy.start_checks import check_feed, check_keys, check_ports, check_settings, check_start


def issued(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of a CA that nobody else knows, and its key."""
    made = trustme.CA().issue_cert("takt.example")
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    made.cert_chain_pems[0].write_to_path(certificate)
    made.private_key_pem.write_to_path(key)
    return certificate, key


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance.open(tmp_path / "data")


@pytest.mark.parametrize("door", ["http", "mqtt"])
def test_certificates_that_do_not_fit_are_refused(instance: Instance, tmp_path: Path, door: str) -> None:
    certificate, key = issued(tmp_path, "a")
    _, other = issued(tmp_path, "b")
    ports: dict[str, Any] = {"http__port": 0, "mqtt__port": 0}

    def start(**files: Path) -> None:
        given = {f"{door}__tls_{name}": path for name, path in files.items()}
        check_settings(read_settings(data_dir=instance.folder, **ports, **given), None)

    start(certificate=certificate, key=key)
    with pytest.raises(UserError, match="cannot be used for TLS"):
        start(certificate=certificate, key=other)
    with pytest.raises(UserError, match="there is no such file"):
        start(certificate=certificate, key=tmp_path / "none")
    with pytest.raises(UserError, match="needs both"):
        start(certificate=certificate)


@pytest.mark.parametrize("content", [None, b"", b"no key"])
def test_a_bad_token_key_is_refused(instance: Instance, content: bytes | None) -> None:
    instance.token_key_path.unlink()
    if content is not None:
        instance.token_key_path.write_bytes(content)
    with pytest.raises(UserError, match=r"api-token\.pem: .* takt restore"):
        check_keys(read_settings(data_dir=instance.folder), instance)


@pytest.mark.parametrize("door", ["http", "mqtt"])
def test_a_taken_port_is_refused(instance: Instance, door: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ports: dict[str, Any] = {"http__port": 0, "mqtt__port": 0, f"{door}__port": other.getsockname()[1]}
        with pytest.raises(UserError, match=f"choose another with --{door}-port"):
            check_ports(read_settings(data_dir=instance.folder, **ports))


def test_a_taken_status_port_of_a_part_is_refused(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(UserError, match="choose another with TAKT_STATUS_PORT"):
            check_status_port(read_settings(data_dir=tmp_path, status_port=other.getsockname()[1]))


def test_one_port_cannot_be_both_doors(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match="for both HTTP and MQTT"):
        check_ports(read_settings(data_dir=tmp_path, http__port=port, mqtt__port=port))


@pytest.mark.parametrize("name", ["first.pem", "second.pem"])
def test_a_bad_key_of_tickets_is_refused(instance: Instance, name: str) -> None:
    for old in instance.issuer_keys_dir.glob("*.pem"):
        old.unlink()
    (instance.issuer_keys_dir / name).write_bytes(b"no key")
    (instance.issuer_keys_dir / name).chmod(0o600)
    with pytest.raises(UserError, match=rf"issuer/{name}: "):
        check_keys(read_settings(data_dir=instance.folder), instance)


ADDRESSES = {
    "database_url": ("city", "database_url: is no address"),
    "nats_url": ("http://host", "nats_url: is no address"),
    "broker_url": ("host:1883", "broker_url: broker address"),
    "gateway": ({"sources": [{"url": "mqtt://host"}, {"url": "mqtt:/host"}]}, "gateway.sources, number 2: broker"),
}


@pytest.mark.parametrize("setting", ADDRESSES)
def test_an_address_that_is_none_is_refused(tmp_path: Path, setting: str) -> None:
    value, sentence = ADDRESSES[setting]
    with pytest.raises(UserError, match=sentence):
        check_settings(read_settings(data_dir=tmp_path, **{setting: value}), None)


def test_a_start_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = read_settings(data_dir=tmp_path / "data", http__port=other.getsockname()[1], mqtt__port=0)
        with pytest.raises(UserError, match="choose another with --http-port"):
            check_start(settings, None)
    assert not (tmp_path / "data").exists()
    check_start(settings.model_copy(update={"http": settings.http.model_copy(update={"port": 0})}), None)


def test_a_folder_that_can_be_none_is_left_to_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    check_start(read_settings(data_dir=tmp_path / "file" / "data", http__port=0, mqtt__port=0), None)


def test_a_start_where_one_runs_is_refused_by_that_and_not_by_its_ports(instance: Instance) -> None:
    with socket.socket() as its_own, instance.locked():
        its_own.bind(("127.0.0.1", 0))
        its_own.listen()
        port = its_own.getsockname()[1]
        settings = read_settings(data_dir=instance.folder, http__port=port, mqtt__port=0)
        check_start(settings, None)  # a killed one's children hold the folder: the start waits for them
        instance.write_runtime(Runtime(os.getpid(), f"http://127.0.0.1:{port}", 0, ""))
        with pytest.raises(UserError, match=rf"another instance is running here \(process {os.getpid()}\)"):
            check_start(settings, None)


def test_the_checks_load_nothing_that_takes_long(tmp_path: Path) -> None:
    """They are to speak at once; the parts themselves take more than a second to load."""
    code = (
        "import sys; from pathlib import Path; from deploy.config import read_settings; "
        "from deploy.start_checks import check_start; "
        f"check_start(read_settings(data_dir=Path({str(tmp_path / 'data')!r}), http__port=0, mqtt__port=0), None); "
        "print(*sorted({'deploy.serving', 'dispatch.engine', 'aiohttp', 'asyncpg', 'nats'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert loaded.stdout.strip() == ""


def test_a_feed_that_is_not_there_is_refused(tmp_path: Path) -> None:
    check_feed(str(tmp_path))
    check_feed("https://feeds.example/gtfs.zip")  # asked when it is read
    with pytest.raises(UserError, match="there is no such file or folder"):
        check_feed(str(tmp_path / "none.zip"))
    with pytest.raises(UserError, match="the address of the feed: is none"):
        check_feed("http://[")


def test_our_clients_trust_the_very_certificate_whatever_its_name(tmp_path: Path) -> None:
    served, key = issued(tmp_path, "a")
    stranger, _ = issued(tmp_path, "b")
    context = tls_context(served, key)
    assert context is not None
    assert shaken(context, trusting(served))
    assert not shaken(context, trusting(stranger))


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_certificate_that_is_gone_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "cert.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"cert\.pem: the instance's certificate cannot be read"):
        trusting(path)


def shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Whether the two shake hands, without a network between them."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_hostname="another.example")
    theirs = server.wrap_bio(there, back, server_side=True)
    for _ in range(3):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return ours.cipher() is not None
