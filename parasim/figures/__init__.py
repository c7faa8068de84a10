"""Every picture of paraSim, in one visual language (`parasim.figures.style`): a module for each kind.

Pictures read result rows and compute nothing that those do not hold. Importing them is cheap: matplotlib is loaded
when the first picture is drawn.
"""
