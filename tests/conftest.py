"""Puts this folder on the import path, so that every test folder can use the helpers beside this file."""
