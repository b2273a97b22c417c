"""Ports, logs and configuration of the embedded servers."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import trustme

from deploy.embedded_broker import BrokerSettings, _check_tls, configuration, nats_program
from deploy.embedded_postgres import database_url
from deploy.embedded_process import last_line
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.ports import check_port, free_port, who_listens
from deploy.postgres_files import postgres_bin
from deploy.postgres_settings import MAJOR, SETTINGS
from deploy.run_as import Namespace, Plain, unprivileged


def test_a_free_port_may_be_listened_on() -> None:
    check_port("127.0.0.1", free_port(), "--mqtt-port")


def test_a_taken_port_names_who_has_it_and_the_option() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        assert f"(process {os.getpid()})" in (who_listens(port) or "")
        with pytest.raises(UserError, match=rf"port {port} is taken by .*{os.getpid()}.*--mqtt-port"):
            check_port("127.0.0.1", port, "--mqtt-port")
    assert who_listens(port) is None


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UserError, match=r"cannot listen on 192\.0\.2\.1"):
        check_port("192.0.2.1", free_port(), "--host")


def test_the_log_says_its_gravest_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_bytes(b"LOG: hello\nFATAL: no room\nLOG: bye\n\xff\n")
    assert last_line(log) == "FATAL: no room"
    log.write_bytes(b"x" * 100_000 + b"\nthe end\n\n")
    assert last_line(log) == "the end"
    log.write_text("PANIC:  could not open pg_control\nFATAL:  the database system is starting up\nLOG:  bye\n")
    assert last_line(log) == "PANIC:  could not open pg_control"
    log.write_text("FATAL:  the database system is starting up\npostgres: could not find the database system\n")
    assert last_line(log) == "postgres: could not find the database system"


def test_what_an_earlier_run_complained_of_is_no_cause(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("FATAL: no room\n")
    begin = log.stat().st_size
    log.write_text("FATAL: no room\nthe end\n")
    assert last_line(log, begin) == "the end"


def test_postgresql_is_never_root() -> None:
    identity = unprivileged()
    if os.geteuid() == 0:
        assert not isinstance(identity, Plain)
        assert identity.uid != 0
    else:
        assert identity == Plain()


def test_a_namespace_is_refused_with_an_error_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.run_as._LIBC", None)
    with pytest.raises(OSError, match="no user namespace"):
        Namespace(1, 1).enter()


def test_durability_is_not_traded_for_speed() -> None:
    assert SETTINGS["fsync"] == SETTINGS["synchronous_commit"] == "on"
    assert SETTINGS["listen_addresses"] == "127.0.0.1"


def test_the_programs_are_there() -> None:
    for name in ("postgres", "initdb", "pg_dump", "pg_restore", "psql"):
        assert (postgres_bin() / name).exists()
    assert f"pginstall{MAJOR}" in str(postgres_bin())
    assert nats_program().exists()


def test_the_database_url_names_the_user_that_owns_it(tmp_path: Path) -> None:
    instance = Instance.open(tmp_path / "data")
    assert database_url(instance, 5432) == (
        f"postgresql://takt:{instance.secrets.postgres_password}@127.0.0.1:5432/takt"
    )


def test_the_brokers_own_protocol_stays_on_loopback_and_no_password_is_in_its_configuration(tmp_path: Path) -> None:
    instance = Instance.open(tmp_path / 'da"ta')
    text = configuration(instance, BrokerSettings(host="0.0.0.0", mqtt_port=8883), 4222, 1 << 30)

    assert 'listen: "127.0.0.1:4222"' in text
    assert 'host: "0.0.0.0"\n  port: 8883' in text
    assert instance.secrets.broker_password not in text
    assert 'da\\"ta/nats"' in text
    assert "tls" not in text


def test_certificates_are_checked_before_anything_starts(tmp_path: Path) -> None:
    authority = trustme.CA()
    one, other = authority.issue_cert("broker.example"), authority.issue_cert("other.example")
    certificate, key, foreign_key = (tmp_path / name for name in ("cert.pem", "key.pem", "foreign.pem"))
    one.cert_chain_pems[0].write_to_path(certificate)
    one.private_key_pem.write_to_path(key)
    other.private_key_pem.write_to_path(foreign_key)

    _check_tls(BrokerSettings(tls_certificate=certificate, tls_key=key))
    for wrong, sentence in (
        (BrokerSettings(tls_certificate=certificate), "needs both files"),
        (BrokerSettings(tls_certificate=certificate, tls_key=tmp_path / "none.pem"), "there is no such file"),
        (BrokerSettings(tls_certificate=certificate, tls_key=foreign_key), "is no certificate for the key"),
        (BrokerSettings(tls_certificate=key, tls_key=key), "is no certificate for the key"),
    ):
        with pytest.raises(UserError, match=sentence):
            _check_tls(wrong)
