"""Fault injection: kills, damaged files, full disks and odd configs."""
