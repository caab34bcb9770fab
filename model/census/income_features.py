"""The seven features of the income model: limits, categories, and the texts that pages show for them."""

from model.schema import Feature, FeatureKind

WORKCLASSES = {
    "Private": "Private employer",
    "Self-emp-not-inc": "Self-employed, not incorporated",
    "Self-emp-inc": "Self-employed, incorporated",
    "Federal-gov": "Federal government",
    "State-gov": "State government",
    "Local-gov": "Local government",
    "Without-pay": "Without pay",
    "Never-worked": "Never worked",
}
EDUCATIONS = {
    "Preschool": "Preschool",
    "1st-4th": "1st to 4th grade",
    "5th-6th": "5th or 6th grade",
    "7th-8th": "7th or 8th grade",
    "9th": "9th grade",
    "10th": "10th grade",
    "11th": "11th grade",
    "12th": "12th grade, no diploma",
    "HS-grad": "High school graduate",
    "Some-college": "Some college, no degree",
    "Assoc-voc": "Associate degree, vocational",
    "Assoc-acdm": "Associate degree, academic",
    "Bachelors": "Bachelor's degree",
    "Masters": "Master's degree",
    "Prof-school": "Professional school degree",
    "Doctorate": "Doctorate",
}
MARITAL_STATUSES = {
    "Never-married": "Never married",
    "Married-civ-spouse": "Married, spouse present",
    "Married-AF-spouse": "Married, spouse in the Armed Forces",
    "Married-spouse-absent": "Married, spouse absent",
    "Separated": "Separated",
    "Divorced": "Divorced",
    "Widowed": "Widowed",
}
RACES = {
    "White": "White",
    "Black": "Black",
    "Asian-Pac-Islander": "Asian or Pacific Islander",
    "Amer-Indian-Eskimo": "American Indian, Eskimo or Aleut",
    "Other": "Other",
}
SEXES = {"Female": "Female", "Male": "Male"}

AGE = Feature(
    name="age",
    title="Age",
    kind=FeatureKind.NUMBER,
    unit="years",
    minimum=17,
    maximum=90,
    integer=True,
    default=38,
    example=39,
)
WORKCLASS = Feature(
    name="workclass",
    title="Work class",
    kind=FeatureKind.CATEGORY,
    categories=tuple(WORKCLASSES),
    labels=WORKCLASSES,
    missing_allowed=True,
    default="Private",
    example="State-gov",
    help="Who the person works for; may be left empty where it is not known.",
)
EDUCATION = Feature(
    name="education",
    title="Education",
    kind=FeatureKind.CATEGORY,
    categories=tuple(EDUCATIONS),
    labels=EDUCATIONS,
    default="HS-grad",
    example="Bachelors",
    help="The highest level completed.",
)
MARITAL_STATUS = Feature(
    name="marital_status",
    title="Marital status",
    kind=FeatureKind.CATEGORY,
    categories=tuple(MARITAL_STATUSES),
    labels=MARITAL_STATUSES,
    default="Married-civ-spouse",
    example="Never-married",
)
RACE = Feature(
    name="race",
    title="Race",
    kind=FeatureKind.CATEGORY,
    categories=tuple(RACES),
    labels=RACES,
    default="White",
    example="White",
    help="As the 1994 census recorded it.",
)
SEX = Feature(
    name="sex",
    title="Sex",
    kind=FeatureKind.CATEGORY,
    categories=tuple(SEXES),
    labels=SEXES,
    default="Female",
    example="Male",
    help="As the 1994 census recorded it.",
)
HOURS_PER_WEEK = Feature(
    name="hours_per_week",
    title="Hours per week",
    kind=FeatureKind.NUMBER,
    unit="hours",
    minimum=1,
    maximum=99,
    integer=True,
    default=40,
    example=40,
    help="Hours worked in a usual week.",
)

FEATURES = (AGE, WORKCLASS, EDUCATION, MARITAL_STATUS, RACE, SEX, HOURS_PER_WEEK)
