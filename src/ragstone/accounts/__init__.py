"""Who may come in, what they may do, and what they used. Accounts know no documents."""
