"""Questions over many scenarios."""
