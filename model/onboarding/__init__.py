"""Onboarding: what people bring becomes a model, or is refused in one line with the way out."""
