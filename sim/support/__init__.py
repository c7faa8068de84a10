"""What has nothing to do with simulating: atomic files, worker pools, named random streams, the cycle collector."""
