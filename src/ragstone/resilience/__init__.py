"""What every call to the outside passes through."""
