"""Measuring real steps on this machine: what is measured in which order, within which memory."""
