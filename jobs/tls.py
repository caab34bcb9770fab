"""The certificate that the web shows."""

import ssl

from jobs.errors import UnusableCertificate
from jobs.settings import Settings


def check_certificate(settings: Settings) -> None:
    """Check that the certificate and its key can be used, if there are any.

    Raises:
        UnusableCertificate: if they cannot.
    """
    if settings.tls_certificate is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without this password, OpenSSL would ask for one at the terminal.
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UnusableCertificate("SCORELINE_TLS_KEY is not the key of SCORELINE_TLS_CERTIFICATE") from error
        reason = (error.reason or str(error)).replace("_", " ").lower()
        text = (
            f"SCORELINE_TLS_CERTIFICATE and SCORELINE_TLS_KEY must be PEM files, the key without a password ({reason})"
        )
        raise UnusableCertificate(text) from error
    except OSError as error:
        raise UnusableCertificate(f"SCORELINE_TLS_CERTIFICATE or SCORELINE_TLS_KEY: {error.strerror}") from error
