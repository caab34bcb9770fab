"""The Celery application of the workers; ``python -m worker`` starts it with a role."""

from jobs.queue import create_celery
from jobs.settings import get_settings

app = create_celery(get_settings())
app.conf.update(include=["worker.tasks"])
