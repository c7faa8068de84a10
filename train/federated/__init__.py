"""The learner that stands behind the protocols: versions of the server's items, and clients."""
