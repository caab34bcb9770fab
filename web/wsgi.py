"""The application that gunicorn serves."""

import threading

from jobs.models.watcher import keep_models_in_sync
from jobs.settings import get_settings
from web import create_app

app = create_app(get_settings())
keep_models_in_sync(get_settings(), threading.Event())
