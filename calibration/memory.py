def granularity(device): return 512 if device!='cpu' else 4096
