"""How good it is: exact measures in NumPy, and one look for every figure."""
