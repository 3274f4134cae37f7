"""Documents: files to canonical Markdown, Markdown to chunks."""
