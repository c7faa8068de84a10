"""The questions of `paraSim plan`, a file each: they turn searches, samples and bills into a `Plan`."""
