"""What every HTTP surface shares: admission, errors, streaming."""
