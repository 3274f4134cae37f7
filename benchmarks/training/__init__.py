"""Training of the judge: the small model that ranks answering sentences and checks citations."""
