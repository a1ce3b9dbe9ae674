"""From the bytes of an encoded image to uint8 pixels."""
