"""Quality of the check of citations: kinds of true and false sentences, and sentences that people wrote."""
