"""The read models of accounts that follow the feed."""
