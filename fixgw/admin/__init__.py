"""Operations: the admin socket (protocol.py, server.py, client.py) and what its answers look like to people (render.py)."""
