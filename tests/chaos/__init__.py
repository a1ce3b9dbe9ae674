"""Faults on purpose: kills, damage, full disks and odd configs."""
