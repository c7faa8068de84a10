"""A recorded run as a program of additions and maxima, evaluated under other conditions, or simulated again."""
