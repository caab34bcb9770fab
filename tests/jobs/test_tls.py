"""A certificate and a key that do not go together are refused before anything starts, and say why."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.errors import UnusableCertificate
from jobs.settings import Settings
from jobs.tls import check_certificate
from tests.tls import Certificates, make_certificates


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def settings(certificate: Path, key: Path) -> Settings:
    return Settings(tls_certificate=certificate, tls_key=key)


def test_a_pair_that_fits_is_accepted(made: Certificates) -> None:
    check_certificate(settings(made.certificate, made.key))
    check_certificate(Settings())
    assert (settings(made.certificate, made.key).scheme, Settings().scheme) == ("https", "http")


def test_the_key_of_another_certificate_is_refused(made: Certificates) -> None:
    with pytest.raises(UnusableCertificate, match="SCORELINE_TLS_KEY is not the key of SCORELINE_TLS_CERTIFICATE"):
        check_certificate(settings(made.certificate, made.authority.with_suffix(".key")))


def test_a_key_with_a_password_is_refused_and_none_is_asked_for(made: Certificates, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", made.key, "-aes256", "-passout", "pass:secret", "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(UnusableCertificate, match="the key without a password"):
        check_certificate(settings(made.certificate, locked))


def test_what_is_no_pem_file_is_refused(made: Certificates, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for certificate, key in ((tmp_path / "text", made.key), (made.certificate, tmp_path / "text")):
        with pytest.raises(UnusableCertificate, match="must be PEM files"):
            check_certificate(settings(certificate, key))


@pytest.mark.parametrize("given", ["tls_certificate", "tls_key"])
def test_one_without_the_other_is_refused(made: Certificates, given: str) -> None:
    alone: dict[str, Any] = {given: made.certificate}
    with pytest.raises(ValidationError, match="set both or neither"):
        Settings(**alone)
