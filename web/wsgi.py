"""The application that gunicorn serves."""

import jobs.formats.no_pandas  # noqa: F401 - before pyarrow is imported, for results that are typed
from jobs.settings import get_settings
from web import create_app

app = create_app(get_settings())
