"""One module per screen of the wizard; each names its class ``SCREEN``, and is imported when it is needed."""
