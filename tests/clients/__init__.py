"""Other people's clients, in their own languages and environments, as judges of the wire."""
