"""The pages: rendered on the server, working without JavaScript."""

from flask import Blueprint

pages = Blueprint("pages", __name__)


@pages.get("/")
def home() -> str:
    return "home"

@pages.get("/models/<name>")
def model_page(name: str) -> str:
    return name


@pages.get("/jobs/<job_id>")
def job_page(job_id: str) -> str:
    return job_id
