"""Who may call: API keys, their scopes, and where a request comes from."""
