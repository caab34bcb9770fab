"""The application that gunicorn serves."""

import threading

import jobs.formats.no_pandas  # noqa: F401 - before pyarrow is imported, for results that are typed
from jobs.models.watcher import keep_models_in_sync
from jobs.settings import get_settings
from jobs.store.connection import connect
from jobs.store.heartbeat import WEB, Heartbeat, Node
from web import create_app

app = create_app(get_settings())
_stop = threading.Event()
_heartbeat = Heartbeat(connect(get_settings()), WEB, Node.of_this_process())
threading.Thread(target=_heartbeat.keep_beating, args=(_stop,), name="heartbeat", daemon=True).start()
keep_models_in_sync(get_settings(), _stop)
