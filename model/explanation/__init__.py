"""Exact explanations: what each feature of a record adds to the model's raw output.

``explainer.explainer_of`` is the one entry; ``check.explanation_fields`` proves an explainer when a model is added.
"""
