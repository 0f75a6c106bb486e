"""Is it alive, can it serve, and what is wrong with it. Every check is bounded in time, and tells the truth."""
