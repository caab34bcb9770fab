"""The version of Scoreline."""

VERSION = "0.1.0"
