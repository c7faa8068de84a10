"""The rooms below the public API: `sim`, `train` and `calibration`, by names that no file of a user's can take."""
