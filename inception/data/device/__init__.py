"""On the devices: transfer, normalization and augmentation of images."""
