"""Decoding, cropping and resizing: encoded images to uint8 pixels."""
