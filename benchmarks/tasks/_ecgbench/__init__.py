"""ECGBench (PULSE, arXiv 2410.19008): its nine subsets, read and scored as published, quirks included."""
