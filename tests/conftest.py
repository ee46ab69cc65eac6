"""Puts this folder on the import path, so that every test folder can use the helpers beside this file."""

from hypothesis import HealthCheck, settings

# how long an example takes says nothing on a machine that has much else to do
settings.register_profile("fixgw", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fixgw")
