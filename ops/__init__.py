"""The ground floor: knows running software. Settings, logs, access, audit, embedded servers. No events, no money."""
