"""The roof: settings, URLs, servers. It wires the floors together and holds no logic of its own."""
