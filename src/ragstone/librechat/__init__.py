"""The drop-in `rag_api` of LibreChat: uploads, queries and content of its users' files.

`routes` lists the addresses, `authentication` checks the token, `files` decides who may
read and change a file (`FileStore`), `upload`, `query` and `content` do the work.
"""
