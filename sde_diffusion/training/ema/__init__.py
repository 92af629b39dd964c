"""Averages of the weights: an exponential moving average, power-function averages, and their reconstruction after training."""
