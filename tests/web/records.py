"""The records that the tests of the pages fill in and upload."""

from model.census.income_features import FEATURES
from web.pages import forms

CLASSIC = {
    "age": "39",
    "work": "State-gov",
    "education": "Bachelors",
    "status": "Never-married",
    "race": "White",
    "sex": "Male",
    "hours": "40",
}
RECORD = {f.name: CLASSIC[forms.CLASSIC_NAMES.get(f.name, f.name)] for f in FEATURES}
QUICK = "/models/income/prediction"
HEADER = ",".join(RECORD)
ROW = ",".join(RECORD.values())
FAULTY = f"{HEADER}\n{ROW}\n{ROW.replace('39', '<b>old</b>')}\n{ROW.replace('39', '200')}\n{ROW},x\n".encode()
