"""What a LibreChat calls at its `RAG_API_URL`: files kept, searched and read for each of its users.

`routes` says what there is, `door` who may come in, `shelf` whose file is whose.
"""
