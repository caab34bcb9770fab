"""What pages show beside a prediction: changes with a large effect, the summary of a job, the card of a model."""

from tests.stack import Stack
from tests.web.reading import Page, ended_job, page_of, upload_by_form
from tests.web.records import CLASSIC, HEADER, QUICK, RECORD, ROW


def test_the_change_with_the_largest_effect_is_what_the_model_predicts(service: Stack) -> None:
    page = page_of(service, QUICK, **RECORD)
    statuses = page.choices("marital_status")
    records = [RECORD, *(RECORD | {"marital_status": name} for name in statuses)]
    answer = service.request("POST", "/api/v1/predictions", json={"records": records}).json()
    before, *others = (item["probability"] for item in answer["predictions"])
    after, label = max(zip(others, statuses.values(), strict=True))
    change = f"Marital status {label} instead of Never married: {after:.1%} (+{(after - before) * 100:.1f} points)"
    assert change in page.text("outcome")


def test_the_result_has_a_link_that_opens_the_form_with_the_same_values(service: Stack) -> None:
    for page in (page_of(service, QUICK, **RECORD), page_of(service, "/probability", **CLASSIC)):
        (link,) = page.all("a", id="permalink")
        again = Page(service.get(link.attrib["href"]))
        assert again.values("get") == page.values("get")
        assert again.text("outcome") == page.text("outcome")


def test_the_page_of_a_succeeded_job_shows_its_summary(service: Stack, job_path: str) -> None:
    page = ended_job(service, job_path)
    summary = service.get(f"/api/v1{job_path}/summary").json()
    assert [int(row[1]) for row in page.rows("histogram-table")] == summary["probability"]["counts"]
    counts = {
        div.attrib["data-prediction"]: next(div.iter("output")).text
        for div in page.all("div")
        if "data-prediction" in div.attrib
    }
    assert counts == {"positive": "0", "negative": "1"}
    rows = page.rows("results")
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    assert rows[0][1:3] == ["<=50K", "0.150521"], "predictions come first, so that nobody has to scroll"
    assert rows[1][1] == "Age: not a number."
    assert "<b>old</b>" in rows[1]


def test_another_file_can_be_uploaded_with_the_threshold_of_a_job(service: Stack) -> None:
    path = upload_by_form(service, f"{HEADER}\n{ROW}\n".encode(), threshold="0.35").headers["Location"]
    (upload,) = [link for link in ended_job(service, path).links() if link.endswith("#upload")]
    assert Page(service.get(upload)).values("post")["threshold"] == "0.35"
    service.request("POST", f"{path}/delete")


def test_the_page_of_a_model_shows_its_card(service: Stack) -> None:
    card = service.get("/api/v1/models/income").json()
    text = page_of(service, "/models/income").text("main")
    for text_ in (card["version"], "32,561 rows", "16,281 records", f"{card['metrics']['roc_auc']:.4f}", "CC BY 4.0"):
        assert text_ in text
