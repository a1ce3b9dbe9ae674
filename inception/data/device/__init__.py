"""What happens to images on the devices."""
