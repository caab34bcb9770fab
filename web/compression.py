"""Compression of pages. Pages hold no secret that their compressed length could reveal."""

from flask import Flask
from flask_compress import Compress

compress = Compress()


def configure_compression(app: Flask) -> None:
    """Configure Flask-Compress; the blueprint of the pages registers it for its own responses.

    It is not registered for the whole application, where it would add ``Vary`` to every response and buffer or
    transform downloads and event streams.
    """
    app.config.update(
        COMPRESS_REGISTER=False,
        COMPRESS_MIMETYPES=["text/html"],
        COMPRESS_ALGORITHM=["gzip"],
        COMPRESS_STREAMS=False,
        COMPRESS_MIN_SIZE=2048,
        COMPRESS_LEVEL=4,
    )
    compress.init_app(app)
