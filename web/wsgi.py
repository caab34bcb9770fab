"""The application that gunicorn serves."""

from jobs.settings import get_settings
from web import create_app

app = create_app(get_settings())
