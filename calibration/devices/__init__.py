"""Devices that were never measured: a catalogue, and times by their operators."""
