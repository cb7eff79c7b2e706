"""Building the image, booting it and looking at the booted machine."""
