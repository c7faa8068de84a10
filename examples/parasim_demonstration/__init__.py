"""What `paraSim train` shows without a file: a scenario, generated data, and models small enough for a CPU.

`scenario.yaml` says what is run, `models` what is trained, `word_problems` and `digits` what it is trained on. The
package knows nothing of the trainer, and is installed with it: the demonstration needs neither files nor a network.
"""
