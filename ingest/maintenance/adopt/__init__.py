"""Adopts what other tools downloaded."""
