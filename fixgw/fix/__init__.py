"""FIX side: the front process, the QuickFIX acceptor, translation in and out, tools for people."""
