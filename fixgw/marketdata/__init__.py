"""Market data at the edge: quotes, the stops that watch them, and deadlines. Never core state."""
