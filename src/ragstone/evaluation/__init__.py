"""Evaluation: how well retrieval and answers do, on labelled data."""
