"""What is missing and what is dangerous in the settings: a table of small rules, by profile."""
