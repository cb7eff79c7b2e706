"""What the owner does at this machine from a browser: request, password, and how it is carried out."""
