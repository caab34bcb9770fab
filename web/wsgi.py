"""The application that gunicorn serves."""

import threading

import jobs.formats.no_pandas  # noqa: F401 - before pyarrow is imported, for results that are typed
from jobs.models.watcher import keep_models_in_sync
from jobs.settings import get_settings
from web import create_app

app = create_app(get_settings())
keep_models_in_sync(get_settings(), threading.Event())
