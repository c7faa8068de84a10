"""What real TCP took and reached (`measured.json`), and what the simulator's network says to it (`compare.py`)."""
