"""The ParaBlock paper's cells, predicted and compared."""
