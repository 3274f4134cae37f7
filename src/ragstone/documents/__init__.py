"""Documents: parses files to canonical Markdown, and cuts it into chunks."""
